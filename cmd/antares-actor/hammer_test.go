package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["hammer"] = hammer
}

const (
	hammers  = 8
	blows    = 60
	forEach  = 6 // files of the origin that each hammer renames, removes or appends to
	counters = 15
)

func TestEightProcessesHammeringOneDirectory(t *testing.T) {
	t.Parallel()
	files := map[string]string{"dir/counter": "0"}
	for i := range hammers * forEach {
		files[fmt.Sprintf("dir/low-%d", i)] = fmt.Sprint("low ", i)
	}
	repo := importRepo(t, files)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		done := make(chan bool)
		for id := range hammers {
			go func() {
				defer func() { done <- true }()
				if r := lab.Run(testfs.Command{Dir: m.Path("dir"), Env: testfs.AsRole("hammer")}, os.Args[0], strconv.Itoa(id)); r.Code != 0 {
					t.Errorf("hammer %d: %s", id, r.Stderr)
				}
			}()
		}
		for range hammers {
			<-done
		}
		want := hammered()
		check := func(name, dir string) {
			t.Helper()
			got := make(map[string]string)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				got[e.Name()] = read(t, filepath.Join(dir, e.Name()))
			}
			testfs.Same(t, name, got, "wanted", want)
		}
		check("mount", m.Path("dir"))
		m.Unmount()
		lab.KernelOverlay(lab.Checkout(repo.Dir, "HEAD"), m.Upper, func(point string) { check("overlayfs", filepath.Join(point, "dir")) })
		check("remount", lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper}).Path("dir"))
	})
}

// hammered is what the directory has when all hammers are done.
func hammered() testfs.Snapshot {
	want := testfs.Snapshot{"counter": strconv.Itoa(hammers * counters)}
	for id := range hammers {
		for i := 0; i < blows; i += 3 {
			want[fmt.Sprintf("kept-%d-%d", id, i)] = fmt.Sprintf("content %d %d", id, i)
		}
		for i := id; i < hammers*forEach; i += hammers {
			switch i / hammers % 3 {
			case 0:
				want[fmt.Sprint("moved-", i)] = fmt.Sprint("low ", i)
			case 2:
				want[fmt.Sprint("low-", i)] = fmt.Sprintf("low %d+%d", i, id)
			}
		}
	}
	return want
}

// hammer works on its own files among those of the others, and on two that it shares with them.
func hammer(args []string) error {
	id, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for i := range blows {
		if err := blow(id, i); err != nil {
			return fmt.Errorf("blow %d: %w", i, err)
		}
		if i%(blows/counters) == 0 {
			if err := countUp(); err != nil {
				return fmt.Errorf("counter: %w", err)
			}
		}
	}
	for i := id; i < hammers*forEach; i += hammers {
		low := fmt.Sprint("low-", i)
		if err := expect(low, fmt.Sprint("low ", i)); err != nil {
			return err
		}
		switch i / hammers % 3 {
		case 0:
			err = os.Rename(low, fmt.Sprint("moved-", i))
		case 1:
			err = os.Remove(low)
		case 2:
			err = appendTo(low, fmt.Sprint("+", id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blow makes a file, renames it, over another one every other time, and keeps each third.
func blow(id, i int) error {
	first, second := fmt.Sprintf("new-%d-%d", id, i), fmt.Sprintf("kept-%d-%d", id, i)
	content := fmt.Sprintf("content %d %d", id, i)
	f, err := os.OpenFile(first, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if i%2 == 0 {
		if err := os.WriteFile(second, []byte("to be replaced"), 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Rename(first, second), expect(second, content)); err != nil {
		return err
	}
	if _, err := os.Lstat(first); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s after its rename: %w", first, err)
	}
	if i%5 == 0 {
		if err := listsOnce(second); err != nil {
			return err
		}
	}
	if i%3 != 0 {
		return os.Remove(second)
	}
	return nil
}

// countUp increments the shared counter under a lock that is a file: whoever makes it holds it.
func countUp() error {
	for {
		fd, err := unix.Open("lock", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
		if err == unix.EEXIST { // a bare errno
			continue
		}
		if err != nil {
			return err
		}
		_ = unix.Close(fd)
		break
	}
	b, err := os.ReadFile("counter")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile("counter", []byte(strconv.Itoa(n+1)), 0o644), os.Remove("lock"))
}

func expect(path, want string) error {
	b, err := os.ReadFile(path)
	if err == nil && string(b) != want {
		err = fmt.Errorf("%s has %q, want %q", path, b, want)
	}
	return err
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// listsOnce checks that a listing shows a name once, though others change the directory meanwhile.
func listsOnce(want string) error {
	names, err := listNames(".")
	if err != nil {
		return err
	}
	seen := 0
	for _, n := range names {
		if n == want {
			seen++
		}
	}
	if seen != 1 {
		return fmt.Errorf("the listing shows %s %d times", want, seen)
	}
	return nil
}

func listNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Readdirnames(-1)
}
