package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/internal/upper/fsck"
)

// The exit statuses of fsck are those of e2fsck.
const (
	fsckRepaired commandStatus = 1
	fsckLeft     commandStatus = 4
	fsckFailed                 = 8
)

// fsckError is why a check could not be made.
type fsckError struct{ err error }

func (e fsckError) Error() string { return e.err.Error() }
func (e fsckError) Unwrap() error { return e.err }

type fsckCommand struct {
	work   string
	lower  []string
	repair bool
	asJSON bool
}

func newFsckCommand() *cobra.Command {
	var c fsckCommand
	cmd := &cobra.Command{
		Use:   "fsck [flags] UPPER",
		Short: "Look for damage in an upper directory that is not mounted",
		Long: `Look for damage in UPPER, the directory that received a mount's changes, and in its work directory. Each problem is a line: the
path, what is wrong, and the remedy. --repair mends what can be mended without a guess, and says what it did.

EXIT STATUS
  0 nothing found, 1 all that was found was repaired, 4 something is left, 8 the check could not be made (UPPER is mounted,
  or cannot be read), 2 bad input`,
		Args: exactArgs(1, "UPPER"),
		RunE: func(_ *cobra.Command, args []string) error { return c.run(os.Stdout, args[0]) },
	}
	cmd.Flags().StringVar(&c.work, "work", "", "its work directory (default UPPER.work if there is one)")
	cmd.Flags().StringArrayVar(&c.lower, "lower", nil, "dir:PATH, a directory that UPPER is mounted over; repeatable, topmost first")
	cmd.Flags().BoolVar(&c.repair, "repair", false, "mend what can be mended without a guess")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "report as JSON")
	return cmd
}

func (c *fsckCommand) run(w io.Writer, upper string) error {
	cfg := fsck.Config{Repair: c.repair}
	for _, lower := range c.lower {
		path, ok := strings.CutPrefix(lower, "dir:")
		if !ok {
			return fmt.Errorf("%w: --lower %q: give dir:PATH", errUsage, lower)
		}
		cfg.Lower = append(cfg.Lower, path)
	}
	var err error
	if cfg.Upper, err = filepath.Abs(upper); err != nil {
		return err
	}
	if c.work != "" {
		if cfg.Work, err = filepath.Abs(c.work); err != nil {
			return err
		}
	}
	report, err := fsck.Check(cfg)
	if err != nil {
		return fsckError{err}
	}
	if err := c.print(w, report); err != nil {
		return fsckError{err}
	}
	switch problems, repaired := report.Found(); {
	case problems > repaired:
		return fsckLeft
	case problems > 0:
		return fsckRepaired
	}
	return nil
}

func (c *fsckCommand) print(w io.Writer, report *fsck.Report) error {
	if c.asJSON {
		return printJSON(w, report)
	}
	for _, p := range report.Problems {
		line := p.Text
		switch {
		case p.Repaired != "":
			line += ": repaired: " + p.Repaired
		case p.Remedy != "":
			line += ": " + p.Remedy
		}
		if _, err := fmt.Fprintln(w, printable(p.Path)+": "+strings.Map(visible, line)); err != nil {
			return err
		}
	}
	problems, repaired := report.Found()
	_, err := fmt.Fprintf(w, "%s: %d names checked, %d problems, %d repaired\n", printable(report.Upper), report.Checked, problems, repaired)
	return err
}

// visible keeps names with line breaks on their line.
func visible(r rune) rune {
	if unicode.IsControl(r) {
		return '?'
	}
	return r
}

// printable quotes a path that would not be one word of a line.
func printable(path string) string {
	if quoted := strconv.Quote(path); quoted[1:len(quoted)-1] != path {
		return quoted
	}
	return path
}
