package writer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// lay makes the writer's tree in a plain directory.
func lay(t *testing.T, root string, s *Writer) {
	t.Helper()
	unix.Umask(0)
	s.root.Walk(func(p model.Place) {
		path, n := filepath.Join(root, p.Path()), p.Node()
		var err error
		switch {
		case n.IsDir():
			err = unix.Mkdir(path, n.Mode)
		case n.IsFile():
			err = os.WriteFile(path, n.Data, os.FileMode(n.Mode))
		default:
			err = unix.Symlink(n.Target, path)
		}
		if err != nil {
			t.Fatal(err)
		}
		at := []unix.Timespec{{Sec: model.OriginTime}, {Sec: model.OriginTime}}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, at, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	})
}

// atWork returns a writer in a plain directory, what it reports, and how to stop it.
func atWork(t *testing.T, seed uint64) (s *Writer, reports *json.Decoder, stop func()) {
	t.Helper()
	root := t.TempDir()
	in, stopper := io.Pipe()
	out, w := io.Pipe()
	s = New(worker.Start(worker.Job{Root: root, Seed: seed}, in, w), 0, 30)
	lay(t, root, s)
	return s, json.NewDecoder(out), func() { _ = stopper.Close() }
}

func drain(t *testing.T, reports *json.Decoder, enough func(worker.Report) bool, then func()) {
	t.Helper()
	go func() {
		once := false
		for {
			var r worker.Report
			if reports.Decode(&r) != nil {
				return
			}
			if !once && enough(r) {
				once = true
				then()
			}
		}
	}()
}

func TestTheModelIsRightAboutAPlainDirectory(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		s, reports, stop := atWork(t, seed)
		drain(t, reports, func(r worker.Report) bool { return r.Ops > 8_000 }, stop)
		if err := s.Run(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestEffectsThatAreHadTwiceOrNeverAreFound has somebody else do what a wrong program would.
func TestEffectsThatAreHadTwiceOrNeverAreFound(t *testing.T) {
	wrongs := map[string]func(s *Writer) error{
		"a directory that was made before": func(s *Writer) error {
			p := model.Place{Dir: s.tops[0], Name: "twice"}
			_ = unix.Mkdir(s.path(p), 0o755)
			return s.mkdir(p, 0o755)
		},
		"a file that was removed before": func(s *Writer) error {
			p, _ := s.existing((*model.Node).IsFile)
			_ = unix.Unlink(s.path(p))
			return s.remove(p)
		},
		"a rename that was made before": func(s *Writer) error {
			p, _ := s.existing((*model.Node).IsFile)
			to := model.Place{Dir: s.tops[0], Name: "moved"}
			_ = unix.Rename(s.path(p), s.path(to))
			return s.move(p, to, 0)
		},
		"an exchange that is undone": func(s *Writer) error {
			a, b := model.Tree(s.root, 0, 7), model.Tree(s.root, 0, 8)
			_ = unix.Renameat2(unix.AT_FDCWD, s.path(a), unix.AT_FDCWD, s.path(b), unix.RENAME_EXCHANGE)
			if err := s.move(a, b, unix.RENAME_EXCHANGE); err != nil {
				return err
			}
			return s.root.Tree(s.w.Root)
		},
		"bytes that are lost": func(s *Writer) error {
			p, _ := s.existing(func(n *model.Node) bool { return n.IsFile() && len(n.Data) > 0 })
			fd, err := unix.Open(s.path(p), unix.O_WRONLY, 0)
			if err == nil {
				_, err = unix.Pwrite(fd, bytes.Repeat([]byte{s.rootByte(p)}, 1), 0)
			}
			return errors.Join(err, s.root.Tree(s.w.Root))
		},
	}
	for name, wrong := range wrongs {
		t.Run(name, func(t *testing.T) {
			s, reports, stop := atWork(t, 1)
			defer stop()
			drain(t, reports, func(worker.Report) bool { return false }, nil)
			if err := s.begin(); err != nil {
				t.Fatal(err)
			}
			for range 200 {
				if err := s.step(); err != nil {
					t.Fatal(err)
				}
			}
			if err := wrong(s); !errors.Is(err, ErrWrong) && !errors.Is(err, model.ErrDiffers) {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// rootByte is another byte than the file begins with.
func (s *Writer) rootByte(p model.Place) byte { return ^p.Node().Data[0] }

// TestACutLeavesTheTreeBeforeOrAfter has calls end as if the mount had gone away, with and without their effect.
func TestACutLeavesTheTreeBeforeOrAfter(t *testing.T) {
	s, reports, stop := atWork(t, 1)
	defer stop()
	drain(t, reports, func(worker.Report) bool { return false }, nil)
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	p := model.Place{Dir: s.tops[0], Name: "file"}
	if err := os.WriteFile(s.path(p), make([]byte, 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	n := p.Add(model.NewFile(0o644, make([]byte, 10_000)))
	data := bytes.Repeat([]byte("x"), 9000)
	for _, done := range []int{0, 4096 - 100, 2*4096 - 100, 9000} {
		n.Data = make([]byte, 10_000)
		cut := &cutOff{call: "write", node: n, effects: parts(n, 100, data)}
		on := append(append(make([]byte, 100), data[:done]...), make([]byte, 9900-done)...)
		if err := os.WriteFile(s.path(p), on, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.reconcile(cut); err != nil {
			t.Errorf("%d bytes: %v", done, err)
		}
	}
	_, effect := model.Unlink(p)
	if err := errors.Join(unix.Unlink(s.path(p)), s.reconcile(&cutOff{call: "unlink", effects: []model.Effect{effect}})); err != nil {
		t.Error(err)
	}
	if err := s.reconcile(&cutOff{call: "mkdir", effects: []model.Effect{func() {}}}); err != nil {
		t.Error(err)
	}
	_ = unix.Mkdir(s.path(p), 0o755)
	if err := s.reconcile(&cutOff{call: "unlink", effects: []model.Effect{func() {}}}); !errors.Is(err, model.ErrDiffers) {
		t.Errorf("a directory from nowhere: %v", err)
	}
}

// TestACutTakesNoNumbersFromTheTreeThatIsNot has exchanges cut off that came about, of something that was looked at before and
// something that never was. The comparison with the tree before them meets the one where it expects the other.
func TestACutTakesNoNumbersFromTheTreeThatIsNot(t *testing.T) {
	s, reports, stop := atWork(t, 1)
	defer stop()
	drain(t, reports, func(worker.Report) bool { return false }, nil)
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	file := func() *model.Node { return model.NewFile(0o644, nil) }
	dir := func() *model.Node { return model.NewDir(0o755) }
	for i, made := range [][2]*model.Node{{file(), file()}, {dir(), dir()}, {file(), dir()}, {dir(), file()}} {
		places := [2]model.Place{{Dir: s.tops[0], Name: fmt.Sprint("seen", i)}, {Dir: s.tops[1], Name: fmt.Sprint("unseen", i)}}
		for i, p := range places {
			do := unix.Mkdir
			if made[i].IsFile() {
				do = func(path string, mode uint32) error { return unix.Mknod(path, mode, 0) }
			}
			if err := do(s.path(p), made[i].Kind|made[i].Mode); err != nil {
				t.Fatal(err)
			}
			p.Add(made[i])
		}
		if err := made[0].Same(s.path(places[0])); err != nil {
			t.Fatal(err)
		}
		_, effect := model.Rename(places[0], places[1], unix.RENAME_EXCHANGE)
		err := unix.Renameat2(unix.AT_FDCWD, s.path(places[0]), unix.AT_FDCWD, s.path(places[1]), unix.RENAME_EXCHANGE)
		if err := errors.Join(err, s.reconcile(&cutOff{call: "exchange", effects: []model.Effect{effect}})); err != nil {
			t.Errorf("pair %d: %v", i, err)
		}
	}
}

// TestAWriterGoesOnAfterCuts cuts calls off at random, each before or after its effect. They are rare, since a writer has seen all
// that there is after each.
func TestAWriterGoesOnAfterCuts(t *testing.T) {
	s, reports, stop := atWork(t, 1)
	defer stop()
	drain(t, reports, func(worker.Report) bool { return false }, nil)
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	s.w.Cuts = true
	r := rand.New(rand.NewPCG(1, 3))
	s.perform = func(do func() error) error {
		switch r.IntN(60) {
		case 0:
			return unix.ENOTCONN
		case 1:
			_ = do()
			return unix.ENOTCONN
		}
		return do()
	}
	cuts := 0
	for s.number < 600 {
		err := s.step()
		if cut := new(cutOff); errors.As(err, &cut) {
			s.drop()
			cuts++
			err = s.reconcile(cut)
		}
		if err != nil {
			t.Fatalf("after %d cuts: %v\nbefore it:\n%s", cuts, err, s.history())
		}
	}
	if cuts == 0 {
		t.Error("no cuts")
	}
}
