package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func main() {
	// A second signal is for whoever waits the first one out: see serveUntilDone.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	var err error
	if args, ok := helperArgs(os.Args); ok {
		err = mountAsHelper(ctx, args)
	} else {
		err = newRootCommand().ExecuteContext(ctx)
	}
	stop()
	if err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, "antares-actor:", text+remedy(err))
		}
		os.Exit(exitCode(err))
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "antares-actor",
		Short: "Mount a monorepo at one commit, lazily and writable",
		Long: `Mount a monorepo at one commit, lazily and writable.

EXIT STATUS
  0 success, 1 internal error, 2 bad input or configuration, 3 mounting or unmounting failed, 4 an address is in use.
  "run" exits with its command's status, "fsck" and "cache verify" have their own.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: unknown command %q: see %s --help", errUsage, args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w: see %s --help", errUsage, err, cmd.CommandPath())
	})
	root.AddCommand(newMountCommand(), newUnmountCommand(), newUpgradeCommand(), newSwitchCommand(), newChangelistCommand(), newStatusCommand(), newWarmCommand(),
		newRunCommand(), newListCommand(), newMonoCommand(), newFsckCommand(), newCacheCommand(), newVersionCommand(),
		newEngineCommand(), newKeeperCommand())
	return root
}
