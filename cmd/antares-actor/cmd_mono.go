package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
)

type monoCommand struct {
	git      string
	listen   string
	logLevel string
}

func newMonoCommand() *cobra.Command {
	var c monoCommand
	cmd := &cobra.Command{
		Use:   "mono --git REPO",
		Short: "Serve a git repository by Mega's HTTP API",
		Long: `Serve a git repository on disk by the read routes of Mega's HTTP API, without authentication: to try antares-actor without a
Mega server, and to test it. It prints its address when it can be asked, and runs until it is interrupted.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.git, "git", ".", "the repository")
	cmd.Flags().StringVar(&c.listen, "listen", "127.0.0.1:8000", "address; port 0 picks a free one")
	cmd.Flags().StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (c *monoCommand) run(ctx context.Context) error {
	log, err := newLogger(c.logLevel)
	if err != nil {
		return err
	}
	repo, err := gitrepo.Open(ctx, c.git)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = repo.Close() }()
	ln, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("%w on %s: %w: choose another --listen", errBind, c.listen, err)
	}
	fmt.Fprintf(os.Stdout, "serving %s on http://%s\n", c.git, ln.Addr())
	return monoserver.Serve(ctx, ln, monoserver.New(repo, log), log)
}
