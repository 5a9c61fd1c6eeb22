package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/actors"
)

func newVersionCommand() *cobra.Command {
	var session bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(0, "no arguments"),
		Run: func(*cobra.Command, []string) {
			if session {
				fmt.Println(actors.SessionVersion)
				return
			}
			fmt.Println("antares-actor", version(), runtime.Version())
		},
	}
	cmd.Flags().BoolVar(&session, "session", false, "print which mounts this program can take over instead: those of the same session version")
	return cmd
}

// version is what the Go toolchain recorded: the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
