package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// cacheStats is what "cache stats --json" prints.
func cacheStats(t *testing.T, lab *testfs.Lab, dir string) (st struct {
	Objects, Large          int
	Bytes, Disk, Unfinished int64
	Oldest, Newest          time.Time
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(lab.Actor("cache", "stats", "--json", "--cache", dir).OK()), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// objectFiles returns the files of a cache's objects.
func objectFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCacheCommands(t *testing.T) {
	t.Parallel()
	files := map[string]string{"large": largeText(3 << 20)}
	for i := range 20 {
		files[fmt.Sprint("f", i)] = strings.Repeat(fmt.Sprint("line ", i, "\n"), 5000)
	}
	repo := importRepo(t, files)
	lab := suite.New(t)
	dir := lab.Path("cache")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Cache: dir})
	lab.Shell(m.Point, "cat large f* > /dev/null")
	m.Unmount()

	if got := strings.TrimSpace(lab.Actor("cache", "path", "--cache", dir).OK()); got != dir {
		t.Errorf("path: %q", got)
	}
	st := cacheStats(t, lab, dir)
	if n := len(objectFiles(t, dir)); st.Objects != n || st.Large != 1 || st.Bytes < 3<<20 || st.Disk < st.Bytes || st.Unfinished != 0 || st.Newest.Before(st.Oldest) {
		t.Errorf("%+v, and there are %d files", st, n)
	}
	if out := lab.Actor("cache", "stats", "--cache", dir).OK(); !strings.Contains(out, "1 of them above 1.0 MiB") {
		t.Errorf("stats: %s", out)
	}
	if out := lab.Actor("cache", "verify", "--cache", dir).OK(); !strings.Contains(out, fmt.Sprint(st.Objects, " objects verified")) {
		t.Errorf("verify: %s", out)
	}
	lab.Actor("cache", "gc", "--cache", dir).OK()
	if now := cacheStats(t, lab, dir); now != st {
		t.Errorf("verify and gc made %+v of %+v", now, st)
	}
	lab.Actor("cache", "gc", "--size", "1MiB", "--cache", dir).OK()
	if now := cacheStats(t, lab, dir); now.Disk > 1<<20 || now.Objects == 0 {
		t.Errorf("gc --size 1MiB left %+v", now)
	}
	lab.Actor("cache", "gc", "--size", "0", "--cache", dir).OK()
	if left := objectFiles(t, dir); len(left) > 0 {
		t.Errorf("gc --size 0 left %v", left)
	}
}

func TestCacheVerifyFindsAndRepairs(t *testing.T) {
	t.Parallel()
	repo := importRepo(t, map[string]string{"a": "some text\n", "b": "other text\n", "large": largeText(3 << 20)})
	lab := suite.New(t)
	dir := lab.Path("cache")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Cache: dir})
	lab.Shell(m.Point, "cat a b large > /dev/null")
	m.Unmount()
	damaged := ""
	for _, path := range objectFiles(t, dir) {
		if info, err := os.Stat(path); err == nil && info.Size() > 1<<20 {
			if err := os.WriteFile(path, make([]byte, info.Size()), 0o600); err != nil {
				t.Fatal(err)
			}
			damaged = filepath.Base(filepath.Dir(path)) + filepath.Base(path)
		}
	}
	for _, step := range []struct {
		flags []string
		code  int
		says  string
	}{{nil, 4, "damaged\n"}, {nil, 4, "1 damaged, 0 deleted"}, {[]string{"--repair"}, 1, "damaged: deleted\n"}, {nil, 0, "0 damaged"}} {
		r := lab.Actor(append([]string{"cache", "verify", "--cache", dir}, step.flags...)...)
		if r.Code != step.code || !strings.Contains(r.Stdout, step.says) || strings.Contains(r.Stdout, damaged) != (step.code > 0) || r.Stderr != "" {
			t.Errorf("verify %v: exit status %d: %s%s", step.flags, r.Code, r.Stdout, r.Stderr)
		}
	}
	again := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Cache: dir})
	wantContent(t, again.Path("large"), largeText(3<<20))
}

func TestCacheCommandsRefuseBadInput(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	repository := filepath.Join(helloRepo(t).Dir, ".git")
	for _, args := range [][]string{
		{"cache", "gc", "--size", "0", "--cache", repository}, {"cache", "verify", "--repair", "--cache", repository},
		{"mount", "--origin", "git:" + repository, "--cache", repository, lab.Mkdir("mnt")},
		{"cache", "nope"}, {"cache", "gc", "--size", "much"}, {"cache", "gc", "--size", "-1"}, {"cache", "stats", "extra"},
		{"cache", "stats", "--cache", lab.Path("nowhere")}, {"cache", "gc", "--cache", lab.Path("nowhere")},
		{"cache", "verify", "--cache", lab.Path("nowhere")}, {"mount", "--cache-size", "much", lab.Path("mnt")},
	} {
		if r := lab.Actor(args...); r.Code != 2 || r.Stderr == "" {
			t.Errorf("%v: exit status %d, %s", args, r.Code, r.Stderr)
		}
	}
	for _, args := range [][]string{{"cache", "stats"}, {"cache", "gc"}, {"cache", "verify"}} { // where nothing was mounted yet
		lab.Actor(args...).OK()
	}
	if _, err := os.Stat(lab.Path("nowhere")); err == nil {
		t.Error("looking made the directory")
	}
}

// TestACacheStaysBelowItsSize: beside a mount, whose files stay readable.
func TestACacheStaysBelowItsSize(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 12 {
		files[fmt.Sprint("f", i)] = largeText(2<<20 + 2*i)
	}
	repo := importRepo(t, files)
	lab := suite.New(t)
	dir := lab.Path("cache")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Cache: dir, Flags: []string{"--cache-size", "10MiB", "--cache-verify"}})
	for name, text := range files {
		wantContent(t, m.Path(name), text)
	}
	for cacheStats(t, lab, dir).Disk > 10<<20 { // what came in the last ten seconds may stay above
		time.Sleep(100 * time.Millisecond)
	}
	lab.Actor("cache", "gc", "--size", "0", "--cache", dir).OK()
	for name, text := range files {
		wantContent(t, m.Path(name), text)
	}
}
