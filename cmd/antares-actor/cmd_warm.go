package main

import (
	"context"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/internal/control"
)

func newWarmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "warm MOUNTPOINT PATTERN...",
		Short: "Fetch what matches into the content store, before it is needed",
		Long: `Have the server of MOUNTPOINT fetch the origin's files that match, behind whatever somebody waits for. A PATTERN is a path in
the mount, in which * and ? mean what they mean in a shell, ** any number of directories, and {a,b} alternatives; a directory means
everything below it. It returns when all is there.`,
		Args: rangeArgs(2, math.MaxInt, "MOUNTPOINT and PATTERN..."),
		RunE: func(cmd *cobra.Command, args []string) error { return warm(cmd.Context(), args[0], args[1:]) },
	}
}

func warm(ctx context.Context, mountpoint string, patterns []string) error {
	bar := newBar(os.Stderr, -1, "fetching")
	var last control.WarmProgress
	err := ask(ctx, mountpoint, func(ctx context.Context, c *control.Client) error {
		return c.Warm(ctx, patterns, func(p control.WarmProgress) {
			last = p
			bar.ChangeMax64(int64(max(p.Files, 1)))
			_ = bar.Set64(int64(p.Here))
		})
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	fmt.Printf("%d files in %d directories are here, %d bytes\n", last.Here, last.Trees, last.Bytes)
	return nil
}
