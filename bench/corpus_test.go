package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tinyScale is enough to see that a workload works.
func tinyScale() scale {
	return scale{Hot: 10, Repeats: 2, Entries: 10, FileMiB: 2, Random: 20, Appends: 2, CopyUps: 5}
}

// tinyTree is a synthetic corpus without the parts that need git or the go command.
func tinyTree(t *testing.T) (string, *manifest) {
	t.Helper()
	dir := t.TempDir()
	if err := makeSynthetic(dir, 6, 10); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if err := writeRandom(filepath.Join(dir, ownDir, largeName(round)), uint64(round), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestSyntheticCorpusIsTheSameEachTime(t *testing.T) {
	one, first := tinyTree(t)
	two, second := tinyTree(t)
	if len(first.Files) != 60 || !slices.Equal(first.Files, second.Files) || !slices.Equal(first.Small, second.Small) {
		t.Fatalf("%d and %d files; want the same 60", len(first.Files), len(second.Files))
	}
	for _, f := range append(first.Files, filepath.Join(ownDir, largeName(1))) {
		a, err := os.ReadFile(filepath.Join(one, f))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, f))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v", f, err)
		}
	}
}

func TestManifestLeavesOutWhatIsNotCorpus(t *testing.T) {
	dir, _ := tinyTree(t)
	if err := os.MkdirAll(filepath.Join(dir, ".git", "refs"), 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(append([]string{}, m.Dirs...), m.Files...) {
		if strings.HasPrefix(name, ownDir) || strings.HasPrefix(name, ".git") {
			t.Errorf("lists %s", name)
		}
	}
	if m.Dirs[0] != "." {
		t.Errorf("first directory is %q; want the root", m.Dirs[0])
	}
}

func TestRoundsCopyUpDifferentFiles(t *testing.T) {
	_, m := tinyTree(t)
	s := tinyScale()
	const rounds = 10 // as many as 60 files allow
	if err := m.check(s, rounds); err != nil {
		t.Fatal(err)
	}
	if err := m.check(s, rounds+1); err == nil {
		t.Error("11 rounds pass the check; want an error")
	}
	seen := make(map[string]bool)
	for _, f := range m.hot(s) {
		seen[f] = true
	}
	for round := range rounds {
		for _, f := range m.fresh(s, round) {
			if seen[f] {
				t.Errorf("round %d takes %s, which was used before", round, f)
			}
			seen[f] = true
		}
	}
}

// TestCheckoutIsTheCommittedBytes has the file names and contents that git's conversions are after.
func TestCheckoutIsTheCommittedBytes(t *testing.T) {
	from, want := t.TempDir(), map[string]string{
		".gitattributes": "* text=auto eol=crlf\nversion export-subst\nhidden export-ignore\n",
		".gitignore":     "ignored\n",
		"ignored":        "not ignored\n",
		"version":        "$Format:%H$\n",
		"hidden":         "shown\n",
		"crlf":           "a\r\nb\n",
		"run.sh":         "#!/bin/sh\n",
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(from, "run.sh"), 0o555); err != nil {
		t.Fatal(err)
	}
	c := &corpus{name: "dir:" + from, repo: filepath.Join(t.TempDir(), "repo")}
	if err := c.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "tree")
	if err := c.checkout(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(got) != text {
			t.Errorf("%s = %q, %v; want %q", name, got, err, text)
		}
	}
	if info, err := os.Stat(filepath.Join(out, "run.sh")); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("run.sh lost its mode: %v, %v", info.Mode(), err)
	}
}
