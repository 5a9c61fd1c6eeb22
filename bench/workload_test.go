package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWorkloadsDoTheSameEverywhere runs each workload in two copies of one tree: the checks agree, and nothing is left
// in the tree. go-build needs a compiled standard library and is left to quick runs.
func TestWorkloadsDoTheSameEverywhere(t *testing.T) {
	one, m := tinyTree(t)
	two, _ := tinyTree(t)
	for _, w := range workloads() {
		if w.name == "go-build" {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			for round := range 2 {
				var checks []string
				for _, root := range []string{one, two} {
					p := &probe{
						task:     task{Workload: w.name, Root: root, Round: round, Scale: tinyScale()},
						manifest: m,
						forget:   func() error { return nil },
					}
					got := p.measure(w)
					if got.Error != "" {
						t.Fatal(got.Error)
					}
					if got.Check == "" {
						t.Error("no check")
					}
					checks = append(checks, got.Check)
				}
				if checks[0] != checks[1] {
					t.Errorf("round %d: checks differ: %q", round, checks)
				}
			}
			left, err := filepath.Glob(filepath.Join(one, ownDir, "work-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left in the tree: %v, %v", left, err)
			}
		})
	}
}

// damage is a way to break a tree, and the workloads that look there.
type damage struct {
	name      string
	change    func(root string, m *manifest) error
	workloads []string
}

func damages() []damage {
	return []damage{
		{"a missing file", func(root string, m *manifest) error { return os.Remove(filepath.Join(root, m.hot(tinyScale())[0])) },
			[]string{"stat-walk", "dir-walk", "re-read", "open-stat", "cold-stat", "cold-walk"}},
		{"a changed byte", func(root string, m *manifest) error {
			f, err := os.OpenFile(filepath.Join(root, m.Files[3]), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{0}, 5)
			return err
		}, []string{"re-read"}},
		{"a file too many", func(root string, m *manifest) error {
			return os.WriteFile(filepath.Join(root, filepath.Dir(m.hot(tinyScale())[0]), "not-there.h"), nil, 0o644)
		}, []string{"dir-walk", "negative", "cold-walk"}},
	}
}

// TestWorkloadsNoticeWrongContent changes one copy of the tree: each workload that looks there has another check, or fails.
func TestWorkloadsNoticeWrongContent(t *testing.T) {
	for _, c := range damages() {
		for _, name := range c.workloads {
			t.Run(name+" with "+c.name, func(t *testing.T) {
				root, m := tinyTree(t)
				w, ok := findWorkload(name)
				if !ok {
					t.Fatal("no such workload")
				}
				run := func() outcome {
					p := &probe{task: task{Workload: name, Root: root, Scale: tinyScale()}, manifest: m, forget: func() error { return nil }}
					return p.measure(w)
				}
				before := run()
				if err := c.change(root, m); err != nil {
					t.Fatal(err)
				}
				if after := run(); after.Error == "" && after.Check == before.Check {
					t.Errorf("still %q", after.Check)
				}
			})
		}
	}
}

func TestServeTaskAnswersInJSON(t *testing.T) {
	root, m := tinyTree(t)
	list := filepath.Join(t.TempDir(), "manifest.json")
	if err := m.save(list); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		task task
		want string // in the error
	}{
		{"a good task", task{Workload: "stat-walk", Root: root, Manifest: list, Scale: tinyScale()}, ""},
		{"an unknown workload", task{Workload: "sleep", Root: root, Manifest: list}, `unknown workload "sleep"`},
		{"a missing tree", task{Workload: "stat-walk", Root: root + "/no", Manifest: list}, "no such file"},
		{"a missing manifest", task{Workload: "stat-walk", Root: root, Manifest: list + "x"}, "no such file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in, err := json.Marshal(c.task)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := serveTask(bytes.NewReader(in), &out); err != nil {
				t.Fatal(err)
			}
			var got outcome
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if c.want == "" && (got.Error != "" || got.Ops == 0 || got.Nanos == 0) || !strings.Contains(got.Error, c.want) {
				t.Errorf("outcome %+v; want the error %q", got, c.want)
			}
		})
	}
}
