package writer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

const (
	epoch = 400 // operations in two trees of the origin
	// crowded is how many names there may be before removing is the rule.
	crowded = 120
	// whole is after how many cuts all trees are compared, and not only those in which it works.
	whole = 10
	// shown is how many calls are shown before one that is wrong, and remembered among how many those are looked for that had
	// to do with the same names.
	shown, remembered = 30, 5000
)

// ErrWrong is a call that did not do what it must.
var ErrWrong = errors.New("wrong")

// Writer is one sequence of operations.
type Writer struct {
	w      *worker.Worker
	id     int
	r      *rand.Rand
	root   *model.Node
	tops   []*model.Node // the directories to work in
	held   []*held
	calls  []string // the last ones, for a failure
	number int
	cuts   int

	perform func(do func() error) error // for tests: makes a system call, or pretends that it was cut off; nil: makes it
}

// held is an open file. It may have lost its name.
type held struct {
	fd     int
	node   *model.Node
	opened string // its name then
}

// cutOff is a call that ended since the mount went away: nobody knows whether it had its effect.
type cutOff struct {
	call    string
	node    *model.Node    // the file that it wrote to, or nil
	effects []model.Effect // it may have had none of these, or those up to any
}

func (c *cutOff) Error() string { return c.call + ": the mount is gone" }

// New returns a writer for the root of the job, which has what model.Origin says.
func New(w *worker.Worker, number, trees int) *Writer {
	return &Writer{w: w, id: number, r: rand.New(rand.NewPCG(w.Seed, uint64(number)<<32)), root: model.Origin(w.Seed, number, trees)}
}

// Run works until the worker is stopped, and compares the whole tree.
func (s *Writer) Run() error {
	unix.Umask(0)
	if err := s.again(s.begin); err != nil {
		return err
	}
	s.w.Ready()
	for !s.w.Stopped() {
		if err := s.again(s.step); err != nil {
			return fmt.Errorf("operation %d, seed %d: %w\nbefore it:\n%s\ndescriptors:\n%s", s.number, s.w.Seed, err, s.history(), s.holdings())
		}
	}
	if err := s.again(s.closeAll); err != nil {
		return err
	}
	return s.compareAll()
}

// again does it again after a cut, when there is a mount and the tree is one that may be.
func (s *Writer) again(do func() error) error {
	for {
		err := do()
		cut := new(cutOff)
		if !errors.As(err, &cut) && !s.w.Gone(err) {
			return err
		}
		s.drop()
		if err := s.w.Cut(); err != nil {
			return err
		}
		if err := s.reconcile(cut); err != nil {
			return err
		}
	}
}

// drop lets go of everything that the mount took with it.
func (s *Writer) drop() {
	for _, h := range s.held {
		_ = unix.Close(h.fd)
	}
	s.held = nil
}

// reconcile finds out which tree there is: the one without the call's effect, or one with it.
func (s *Writer) reconcile(cut *cutOff) error {
	forget := s.root.Learning()
	err := s.compare(cut.node)
	var without error // how it differs from the tree without the effect
	for _, effect := range cut.effects {
		if err == nil {
			break
		}
		forget()
		without = errors.Join(without, fmt.Errorf("without its effect: %w", err))
		effect()
		err = s.compare(cut.node)
	}
	if s.cuts++; err == nil && s.cuts%whole == 0 {
		err = s.compareAll()
	}
	if err != nil {
		return fmt.Errorf("after the mount went away in %q: %w", cut.call, errors.Join(err, without))
	}
	return nil
}

// compare compares a file, if it has a name, or where the writer works.
func (s *Writer) compare(node *model.Node) error {
	return s.patiently(func() (err error) {
		if node == nil {
			if len(s.tops) == 0 {
				return s.root.Tree(s.w.Root)
			}
			for _, top := range s.tops {
				err = errors.Join(err, top.Tree(filepath.Join(s.w.Root, top.Path())))
			}
			return err
		}
		s.root.Walk(func(p model.Place) {
			if p.Node() == node {
				err = node.Same(s.path(p))
			}
		})
		return err
	})
}

func (s *Writer) compareAll() error {
	return s.patiently(func() error { return s.root.Tree(s.w.Root) })
}

// patiently compares, and again if the mount goes away meanwhile.
func (s *Writer) patiently(compare func() error) error {
	for {
		err := compare()
		if !s.w.Gone(err) {
			return err
		}
		if err := s.w.Cut(); err != nil {
			return err
		}
	}
}

// begin makes a directory of the writer's own and opens the first trees.
func (s *Writer) begin() error {
	own := model.Own(s.root, s.id)
	if own.Node() == nil {
		if err := s.mkdir(own, 0o755); err != nil {
			return err
		}
	}
	s.tops = []*model.Node{own.Node(), s.tree(0), s.tree(1)}
	return nil
}

// tree returns a tree of the origin, nil when there is none any more.
func (s *Writer) tree(i int) *model.Node {
	return model.Tree(s.root, s.id, i).Node()
}

// step performs an operation, and now and then looks.
func (s *Writer) step() error {
	s.number++
	if s.number%epoch == 0 {
		next := s.number/epoch + 1
		if t := s.tree(next); t != nil {
			s.tops = []*model.Node{s.tops[0], s.tops[2], t}
		}
	}
	if err := s.draw()(s); err != nil {
		return err
	}
	if s.r.IntN(4) > 0 {
		return nil
	}
	return s.look()
}

// history says what came before: the last calls, and of the earlier ones those with a name of the last one. All of them go into
// a file.
func (s *Writer) history() string {
	_ = os.WriteFile(filepath.Join(os.TempDir(), fmt.Sprintf("calls-of-writer-%d", s.id)), []byte(strings.Join(s.calls, "\n")+"\n"), 0o644)
	last := max(0, len(s.calls)-shown)
	names := strings.FieldsFunc(s.calls[len(s.calls)-1], func(c rune) bool { return c == ' ' || c == ',' })
	var text []string
	for _, call := range s.calls[:last] {
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "/") && strings.Contains(call, name) }) {
			text = append(text, call)
		}
	}
	return strings.Join(append(append(text, "..."), s.calls[last:]...), "\n")
}

// holdings says which names the open files have.
func (s *Writer) holdings() string {
	var text strings.Builder
	for _, h := range s.held {
		fmt.Fprintf(&text, "%d: inode %d, opened as %s:", h.fd, h.node.Ino, h.opened)
		s.root.Walk(func(p model.Place) {
			if p.Node() == h.node {
				fmt.Fprintf(&text, " %s", p.Path())
			}
		})
		text.WriteString("\n")
	}
	return text.String()
}

// look compares something.
func (s *Writer) look() error {
	var err error
	if h := s.anyHeld(); h != nil && s.r.IntN(3) == 0 {
		err = s.lookAt(h)
	} else {
		p, ok := s.existing(func(*model.Node) bool { return true })
		if !ok {
			return nil
		}
		s.note("look at %s", p.Path())
		begun := time.Now()
		err = p.Node().Same(s.path(p))
		s.took(begun)
	}
	return err
}

// lookAt compares an open file.
func (s *Writer) lookAt(h *held) error {
	s.note("look at descriptor %d", h.fd)
	name := fmt.Sprint("descriptor ", h.fd)
	var st unix.Stat_t
	begun := time.Now()
	if err := unix.Fstat(h.fd, &st); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	err := errors.Join(h.node.SameStat(name, &st), h.node.SameBytes(name, h.fd))
	s.took(begun)
	return err
}

// call performs a system call and compares its errno with what the model says; it has the effect on the model.
func (s *Writer) call(want unix.Errno, effect model.Effect, do func() error, format string, args ...any) error {
	text := s.note(format, args...)
	begun := time.Now()
	if call := do; s.perform != nil {
		do = func() error { return s.perform(call) }
	}
	err := do()
	s.took(begun)
	if s.w.Gone(err) {
		cut := &cutOff{call: text}
		if effect != nil {
			cut.effects = []model.Effect{effect}
		}
		return cut
	}
	s.calls[len(s.calls)-1] += " = " + orOK(err).Error()
	got, _ := err.(unix.Errno) //nolint:errorlint // x/sys/unix returns bare ones
	if err != nil && got == 0 || got != want {
		return fmt.Errorf("%s: %w: %w, want %w", text, ErrWrong, orOK(err), orOK(want))
	}
	if effect != nil {
		effect()
	}
	return nil
}

// orOK is an error that can be printed: no error, and errno 0, are success.
func orOK(err error) error {
	if err == nil || err == unix.Errno(0) { //nolint:errorlint // a bare one
		return errors.New("success")
	}
	return err
}

func (s *Writer) took(begun time.Time) { s.w.Did(time.Since(begun)) }

// note remembers a call.
func (s *Writer) note(format string, args ...any) string {
	text := fmt.Sprintf("%d %s", s.number, fmt.Sprintf(format, args...))
	s.calls = append(s.calls, text)
	if len(s.calls) > remembered {
		s.calls = s.calls[1:]
	}
	return text
}

func (s *Writer) path(p model.Place) string { return filepath.Join(s.w.Root, p.Path()) }
