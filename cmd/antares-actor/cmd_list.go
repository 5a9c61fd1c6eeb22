package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/fusebridge"
)

func newListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List this machine's mounts",
		Args:  exactArgs(0, "no arguments"),
		RunE:  func(*cobra.Command, []string) error { return list(os.Stdout, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return cmd
}

// list prints what the kernel has mounted, with what the server's record adds. Another user's record may be out of sight.
func list(w io.Writer, asJSON bool) error {
	mounts, err := fusebridge.Ours()
	if err != nil {
		return err
	}
	known := records()
	rows := make([]record, 0, len(mounts))
	for _, m := range mounts {
		r, ok := known[m.Mountpoint]
		if !ok {
			r = record{Mountpoint: m.Mountpoint, Origin: m.Source}
		}
		rows = append(rows, r)
	}
	if asJSON {
		return printJSON(w, rows)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, r := range rows {
		if i == 0 {
			fmt.Fprintln(t, "MOUNTPOINT\tORIGIN\tCOMMIT\tUPPER\tPID")
		}
		fmt.Fprintf(t, "%s\t%s\t%.12s\t%s\t%d\n", r.Mountpoint, r.Origin, r.Commit, r.Upper, r.PID)
	}
	return t.Flush()
}
