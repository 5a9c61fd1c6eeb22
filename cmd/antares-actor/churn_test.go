package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["churn"] = churn
	roles["relist"] = relist
}

func TestListingADirectoryOf100000NamesThatOthersChange(t *testing.T) {
	t.Parallel()
	const each = 50_000 // in the origin, and in upper
	files := make(map[string]string)
	for i := range each {
		files[fmt.Sprintf("dir/stable-low-%d", i)] = ""
	}
	repo, lab := importRepo(t, files), suite.New(t)
	origin, upper := "git:"+repo.Dir, lab.Path("upper")
	lab.Mkdir("upper", "dir")
	for i := range each - 500 {
		if err := unix.Mknod(filepath.Join(upper, "dir", fmt.Sprintf("stable-new-%d", i)), unix.S_IFREG|0o644, 0); err != nil {
			t.Fatal(err)
		}
	}
	m := lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
	for i := range 500 {
		writeFile(t, m.Path("dir", fmt.Sprintf("stable-made-%d", i)), "")
	}
	stop := churning(t, lab, m.Path("dir"))
	for range 2 {
		listsAllOnce(t, m.Path("dir"), 2*each)
	}
	stop()
	m.Unmount()
	listsAllOnce(t, lab.Mount(testfs.Spec{Origin: origin, Upper: upper}).Path("dir"), 2*each)
}

// TestListingsThatFillAPageWhileOthersChangeThem: the directory has about as many names as fill the first page of the
// kernel's cache to the byte, and changes all the time under several that list it.
func TestListingsThatFillAPageWhileOthersChangeThem(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 121 {
		files[fmt.Sprint("dir/s", i)] = ""
	}
	repo, lab := importRepo(t, files), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	stop := lab.Path("stop")
	done := make(chan testfs.Result)
	for range 4 {
		go func() {
			var r testfs.Result
			defer func() { done <- r }() // even if Run ends the goroutine
			r = lab.Run(testfs.Command{Dir: m.Path("dir"), Env: testfs.AsRole("relist")}, os.Args[0], stop)
		}()
	}
	for i := range 700 {
		name := m.Path("dir", fmt.Sprint("x", i%7))
		if err := os.Remove(name); err != nil {
			writeFile(t, name, "")
		}
	}
	writeFile(t, stop, "")
	for range 4 {
		if r := <-done; r.Code != 0 {
			t.Errorf("a listing: %s", r.Stderr)
		}
	}
}

// relist lists the working directory until the stop file is there.
func relist(args []string) error {
	for {
		seen, err := countNames(".")
		if err != nil {
			return err
		}
		for i := range 121 {
			if n := seen[fmt.Sprint("s", i)]; n != 1 {
				return fmt.Errorf("s%d is listed %d times, among %d names", i, n, len(seen))
			}
		}
		if _, err := os.Lstat(args[0]); err == nil {
			return nil
		}
	}
}

// churning has a process change a directory, and returns when it does; the result ends it.
func churning(t *testing.T, lab *testfs.Lab, dir string) (end func()) {
	t.Helper()
	stop := lab.Path("stop")
	done := make(chan testfs.Result, 1)
	go func() {
		var r testfs.Result
		defer func() { done <- r }() // even if Run ends the goroutine
		r = lab.Run(testfs.Command{Dir: dir, Env: testfs.AsRole("churn")}, os.Args[0], "0", stop)
	}()
	await(t, "the churning begins", func() bool { _, err := os.Lstat(filepath.Join(dir, "began-0")); return err == nil })
	return func() {
		writeFile(t, stop, "")
		if r := <-done; r.Code != 0 {
			t.Errorf("churn: %s", r.Stderr)
		}
	}
}

// churn makes, renames and removes files until the stop file is there.
func churn(args []string) error {
	id, stop := args[0], args[1]
	if err := os.WriteFile("began-"+id, nil, 0o644); err != nil {
		return err
	}
	for i := 0; ; i++ {
		a, b := fmt.Sprintf("x-%s-%d", id, i%200), fmt.Sprintf("y-%s-%d", id, i%200)
		if err := errors.Join(os.WriteFile(a, nil, 0o644), os.Rename(a, b)); err != nil {
			return err
		}
		if i >= 100 {
			if err := os.Remove(fmt.Sprintf("y-%s-%d", id, (i-100)%200)); err != nil {
				return err
			}
		}
		if _, err := os.Lstat(stop); err == nil {
			return nil
		}
	}
}

// listsAllOnce lists a directory and checks that each stable name came exactly once.
func listsAllOnce(t *testing.T, dir string, stable int) {
	t.Helper()
	seen, err := countNames(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, n := range seen {
		if n > 1 {
			t.Errorf("%s is listed %d times", name, n)
		}
		if strings.HasPrefix(name, "stable-") {
			found++
		}
	}
	if found != stable {
		t.Errorf("%d stable names are listed, want %d", found, stable)
	}
}

// countNames returns how often each name is listed.
func countNames(dir string) (map[string]int, error) {
	names, err := listNames(dir)
	seen := make(map[string]int)
	for _, n := range names {
		seen[n]++
	}
	return seen, err
}
