package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/internal/control"
)

func newSwitchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "switch MOUNTPOINT [REV]",
		Short: "Have a mount show another commit, without unmounting",
		Long: `Have MOUNTPOINT show the commit, tag or branch REV (default the origin's head). Only what differs is read and changed. Changes in
upper stay above. Files that are open keep their content. It returns when no name of the old commit can be opened any more.`,
		Args: rangeArgs(1, 2, "MOUNTPOINT and perhaps REV"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rev := ""
			if len(args) == 2 {
				rev = args[1]
			}
			return change(cmd.Context(), args[0], func(ctx context.Context, c *control.Client) (control.Switched, error) {
				return c.Switch(ctx, rev)
			})
		},
	}
}

func newChangelistCommand() *cobra.Command {
	var path string
	var clear bool
	cmd := &cobra.Command{
		Use:   "cl MOUNTPOINT LINK | cl MOUNTPOINT --clear",
		Short: "Have a mount show a changelist, or none, without unmounting",
		Long: `Have MOUNTPOINT show the changelist LINK on top of its commit, in place of the one that it may show. Everything that it brings is
fetched and verified before anything changes. Changes in upper stay above.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && !clear || len(args) == 1 && clear {
				return nil
			}
			return fmt.Errorf("%w: give MOUNTPOINT and LINK, or MOUNTPOINT and --clear: see %s --help", errUsage, cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd.Context(), args[0], func(ctx context.Context, c *control.Client) (control.Switched, error) {
				if clear {
					return c.ClearChangelist(ctx)
				}
				return c.SetChangelist(ctx, args[1], path)
			})
		},
	}
	cmd.Flags().StringVar(&path, "cl-path", "", "directory of the repository that the changelist's paths are relative to")
	cmd.Flags().BoolVar(&clear, "clear", false, "show the commit alone")
	return cmd
}

func newStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status MOUNTPOINT",
		Short: "Say what a mount shows",
		Args:  exactArgs(1, "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s control.Status
			err := ask(cmd.Context(), args[0], func(ctx context.Context, c *control.Client) (err error) {
				s, err = c.Status(ctx)
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(os.Stdout, s)
			}
			printStatus(s)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	return cmd
}

func printStatus(s control.Status) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "mountpoint\t%s\nstate\t%s\ncommit\t%s\n", s.Mountpoint, s.State, s.Commit)
	fmt.Fprintf(t, "served since\t%s\nknown inodes\t%d\nopen files of upper\t%d\n", s.Since.Format(time.RFC3339), s.Inodes, s.OpenFiles)
	fmt.Fprintf(t, "origin\t%d requests, %d bytes\n", s.Origin.Requests, s.Origin.Bytes)
	if cl := s.Changelist; cl != nil {
		fmt.Fprintf(t, "changelist\t%s\n", cl.Link)
		for _, c := range cl.Changed {
			from := ""
			if c.OldPath != "" {
				from = " (from " + c.OldPath + ")"
			}
			fmt.Fprintf(t, "  %s\t%s%s\n", c.Action, c.Path, from)
		}
	}
	_ = t.Flush()
}

// change asks the mount's server for a switch, and says what it did.
func change(ctx context.Context, mountpoint string, do func(context.Context, *control.Client) (control.Switched, error)) error {
	var did control.Switched
	err := ask(ctx, mountpoint, func(ctx context.Context, c *control.Client) (err error) {
		did, err = do(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s shows %s: %d names changed in %d directories, in %v\n", mountpoint, did.To, did.Names, did.Dirs,
		(time.Duration(did.Took) * time.Microsecond).Round(10*time.Microsecond))
	return nil
}

// nextServer is how long a mount may be without a server: the next one begins at once, or 5 s after one that died if several did.
const nextServer = 15 * time.Second

// ask asks a mount's server. If that dies, it asks the next one: everything that can be asked for can be asked for twice. The time
// for that begins when the server turns out to be dead, however long it had been at work.
func ask(ctx context.Context, mountpoint string, do func(context.Context, *control.Client) error) error {
	var end time.Time
	for dead := 0; ; time.Sleep(20 * time.Millisecond) {
		r, err := servedAt(mountpoint)
		if err != nil {
			return err
		}
		if err = do(ctx, control.Dial(r.Control)); !errors.Is(err, control.ErrNobody) || ctx.Err() != nil {
			return err
		}
		if r.Engine != dead {
			dead, end = r.Engine, time.Now().Add(nextServer)
		} else if time.Now().After(end) {
			return err
		}
	}
}
