package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/cache"
)

// The exit statuses of "cache verify" are those of fsck.
const (
	cacheRepaired commandStatus = fsckRepaired
	cacheLeft     commandStatus = fsckLeft
)

// cacheCommand is what the cache's commands have in common.
type cacheCommand struct {
	dir   string
	given bool // --cache was
}

func newCacheCommand() *cobra.Command {
	var c cacheCommand
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look at the content cache, make it smaller, look for damage in it",
		Long: `Look at the content cache, make it smaller, look for damage in it. Mounts may use it at the same time: what they still need
and do not find they fetch again.`,
		Args: exactArgs(0, "one of its commands"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			c.given = cmd.Flags().Changed("cache")
			c.dir, err = filepath.Abs(c.dir)
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&c.dir, "cache", cacheDir(), "the cache's directory")
	cmd.AddCommand(c.newPath(), c.newStats(), c.newCollect(), c.newVerify())
	return cmd
}

func (c *cacheCommand) newPath() *cobra.Command {
	return &cobra.Command{
		Use:   "path",
		Short: "Print the cache's directory",
		Args:  exactArgs(0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Println(c.dir)
			return err
		},
	}
}

// missing makes an error of a directory that is not there: none where mounts would make it, bad input where somebody named it.
// So is a directory that is no cache.
func (c *cacheCommand) missing(err error) error {
	switch {
	case errors.Is(err, cache.ErrRepository):
		return fmt.Errorf("%w: --cache: %w", errUsage, err)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case c.given:
		return fmt.Errorf("%w: --cache %s: there is no cache", errUsage, c.dir)
	}
	return nil
}

func (c *cacheCommand) newStats() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Say what is in the cache",
		Args:  exactArgs(0, "nothing"),
		RunE:  func(*cobra.Command, []string) error { return c.stats(os.Stdout, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *cacheCommand) stats(w io.Writer, asJSON bool) error {
	info, err := cache.Inspect(c.dir)
	if err := c.missing(err); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, info)
	}
	_, err = fmt.Fprintf(w, "directory   %s\nobjects     %s, %s of them above %s\ncontent     %s\non disk     %s\nunfinished  %s\n",
		info.Dir, humanize.Comma(int64(info.Objects)), humanize.Comma(int64(info.Large)), size(cache.SmallMax), size(info.Bytes), size(info.Disk),
		size(info.Unfinished))
	if err == nil && info.Objects > 0 {
		_, err = fmt.Fprintf(w, "last used   %s to %s\n", humanize.Time(info.Oldest), humanize.Time(info.Newest))
	}
	return err
}

// size is a number of bytes for people.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func (c *cacheCommand) newCollect() *cobra.Command {
	var limit string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete what was used longest ago",
		Long: `Delete the objects that were used longest ago until the others take no more than --size, and what killed mounts left unfinished.
Without --size only the latter.`,
		Args: exactArgs(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			target := int64(-1)
			if cmd.Flags().Changed("size") {
				var err error
				if target, err = parseSize("--size", limit); err != nil {
					return err
				}
			}
			return c.collect(os.Stdout, target)
		},
	}
	cmd.Flags().StringVar(&limit, "size", "", "what may stay, such as 20GiB")
	return cmd
}

func (c *cacheCommand) collect(w io.Writer, target int64) error {
	found, err := cache.Collect(c.dir, target)
	if err := c.missing(err); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s objects deleted, %s; %s left, %s\n", humanize.Comma(int64(found.Removed)), size(found.Freed),
		humanize.Comma(int64(found.Objects-found.Removed)), size(found.Bytes-found.Freed))
	return err
}

// parseSize reads a number of bytes, which may have a unit.
func parseSize(flag, text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %s %q: give a size such as 20GiB", errUsage, flag, text)
	}
	return int64(n), nil
}

func (c *cacheCommand) newVerify() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Hash every object",
		Long: `Hash every object in the cache. Each damaged one is a line; --repair deletes it, so that it is fetched again.

EXIT STATUS
  0 nothing is damaged, 1 all that is damaged was deleted, 4 something is left, 8 the check could not be made, 2 bad input`,
		Args: exactArgs(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.verify(cmd.Context(), os.Stdout, os.Stderr, repair)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "delete what is damaged")
	return cmd
}

func (c *cacheCommand) verify(ctx context.Context, w io.Writer, terminal *os.File, repair bool) error {
	info, err := cache.Inspect(c.dir)
	if err := c.missing(err); err != nil {
		return checkFailed(err)
	}
	var found cache.Verified
	if err == nil {
		bar := newBar(terminal, info.Bytes, "hashing", progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true))
		found, err = cache.Verify(ctx, c.dir, repair, func(n int64) { _ = bar.Add64(n) })
		_ = bar.Exit()
		if err != nil {
			return checkFailed(err)
		}
	}
	left := 0
	for _, b := range found.Bad {
		what, done := "damaged", ""
		if b.Err != nil {
			what = b.Err.Error()
		}
		if b.Removed {
			done = ": deleted"
		} else {
			left++
		}
		if _, err := fmt.Fprintf(w, "%s: %d bytes: %s%s\n", b.ID, b.Size, what, done); err != nil {
			return checkFailed(err)
		}
	}
	_, err = fmt.Fprintf(w, "%s objects verified, %s; %d damaged, %d deleted\n", humanize.Comma(int64(found.Objects)), size(found.Bytes),
		len(found.Bad), len(found.Bad)-left)
	switch {
	case err != nil:
		return checkFailed(err)
	case left > 0:
		return cacheLeft
	case len(found.Bad) > 0:
		return cacheRepaired
	}
	return nil
}

// checkFailed has a check that could not be made end with its own status, but for bad input.
func checkFailed(err error) error {
	if errors.Is(err, errUsage) {
		return err
	}
	return fsckError{err}
}

// newBar is a progress bar over so many steps, -1 if nobody knows yet; it shows if it goes to a terminal.
func newBar(f *os.File, total int64, what string, more ...progressbar.Option) *progressbar.ProgressBar {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return progressbar.NewOptions64(total, append(more, progressbar.OptionSetWriter(f), progressbar.OptionSetVisibility(err == nil),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionSetDescription(what),
		progressbar.OptionClearOnFinish())...)
}
