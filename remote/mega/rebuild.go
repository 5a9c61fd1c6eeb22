package mega

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

const (
	// flipBudget bounds the bytes that one search hashes: about 0.2 s. Pairs of modes fit in it for directories of up to
	// some 150 files, single ones for up to some 5,000.
	flipBudget = 128 << 20
	// maxSniffed is how many files' first bytes are asked for at most in one directory, and sniffers how many at once.
	maxSniffed = 32
	sniffers   = 8
)

// fileModes are what a listing's "file" can be, the commonest first. All are spelled in six digits, so that a tree's
// payload has the same length with any of them.
func fileModes() []object.Mode {
	return []object.Mode{object.ModeFile, object.ModeExec, object.ModeSymlink, object.ModeGitlink}
}

// rebuild looks for the modes with which entries (in git's order, files as ModeFile) hash to want. Without success it
// returns its best guess and false.
func (c *Client) rebuild(ctx context.Context, want object.ID, entries []object.Entry, hints map[string]object.Mode) (
	payload []byte, verified bool, err error,
) {
	s := newSearch(want, entries)
	unknown := s.hint(hints)
	if s.matches() || s.flip(1) || s.flip(2) {
		return s.payload, true, nil
	}
	if err := c.sniff(ctx, s, unknown); err != nil {
		return nil, false, err
	}
	s.budget = flipBudget / 4 // what content tells is worth another, smaller search around it
	return s.payload, s.matches() || s.flip(1), nil
}

// search is a tree's payload in which the files' modes are varied in place.
type search struct {
	want    object.ID
	payload []byte
	files   []object.Entry // the entries that may be something else than a plain file
	at      []int          // where in payload their modes start
	budget  int            // bytes that may still be hashed
}

func newSearch(want object.ID, entries []object.Entry) *search {
	s := &search{want: want, budget: flipBudget}
	for i, e := range entries {
		if e.Mode != object.ModeTree {
			s.files = append(s.files, e)
			s.at = append(s.at, len(s.payload))
		}
		s.payload = object.AppendTree(s.payload, entries[i:i+1])
	}
	return s
}

// hint sets modes by name and returns the files, as indexes, that had no hint.
func (s *search) hint(modes map[string]object.Mode) (unknown []int) {
	for i, f := range s.files {
		if m, ok := modes[f.Name]; ok && m != object.ModeTree {
			s.set(i, m)
		} else {
			unknown = append(unknown, i)
		}
	}
	return unknown
}

func (s *search) mode(i int) object.Mode { return s.files[i].Mode }

// set gives file i this mode.
func (s *search) set(i int, m object.Mode) {
	s.files[i].Mode = m
	copy(s.payload[s.at[i]:], fmt.Sprintf("%06o", uint32(m)))
}

func (s *search) matches() bool {
	s.budget -= len(s.payload)
	return object.Sum(object.Tree, s.payload) == s.want
}

// flip tries every change of exactly n files' modes, and leaves the payload as it was unless one matches.
func (s *search) flip(n int) bool { return s.flipFrom(0, n) }

func (s *search) flipFrom(first, n int) bool {
	for i := first; i < len(s.files) && s.budget > 0; i++ {
		before := s.mode(i)
		for _, m := range fileModes() {
			if m == before {
				continue
			}
			s.set(i, m)
			if (n == 1 && s.matches()) || (n > 1 && s.flipFrom(i+1, n-1)) {
				return true
			}
		}
		s.set(i, before)
	}
	return false
}

// sniff sets the modes of some of the files by their first bytes. Files whose bytes cannot be had stay as they are.
func (c *Client) sniff(ctx context.Context, s *search, files []int) error {
	files = files[:min(len(files), maxSniffed)]
	modes := make([]object.Mode, len(files))
	var wg sync.WaitGroup
	places := make(chan struct{}, sniffers)
	for n, i := range files {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			modes[n] = c.modeByContent(ctx, s.files[i].ID)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for n, i := range files {
		s.set(i, modes[n])
	}
	return nil
}

// modeByContent guesses: scripts and ELF files are executable, and what is no blob is a submodule's commit.
func (c *Client) modeByContent(ctx context.Context, id object.ID) object.Mode {
	b, err := c.Blob(ctx, id)
	if errors.Is(err, remote.ErrNotFound) {
		return object.ModeGitlink
	}
	if err != nil {
		return object.ModeFile
	}
	defer b.Close()
	start := make([]byte, 4)
	n, _ := io.ReadFull(b, start) // a shorter file has neither prefix
	return object.ModeByContent(start[:n])
}
