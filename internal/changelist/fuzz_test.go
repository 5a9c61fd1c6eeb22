package changelist_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// model says what a set of changes makes of base; false if they cannot be.
func model(base files, changes []remote.Change, text map[object.ID]string) (files, bool) {
	after := maps.Clone(base)
	puts := make(map[string]remote.Change)
	for _, c := range changes {
		from := c.Path
		if c.Action == remote.Renamed {
			from = c.OldPath
		}
		if base[from] == "" && c.Action != remote.New {
			return nil, false
		}
		if c.Action == remote.Deleted || c.Action == remote.Renamed {
			delete(after, from)
		}
		if c.Action != remote.Deleted {
			if before, twice := puts[c.Path]; twice && before != c {
				return nil, false
			}
			puts[c.Path] = c
		}
	}
	for path, c := range puts {
		if slices.ContainsFunc(changes, func(o remote.Change) bool { return o.Action == remote.Deleted && o.Path == path }) {
			return nil, false
		}
		from := path
		if c.Action == remote.Renamed {
			from = c.OldPath
		}
		mode, _, ok := strings.Cut(base[from], " ")
		if !ok {
			m, _ := modes(context.Background(), c.ID)
			mode = map[object.Mode]string{object.ModeFile: "100644", object.ModeExec: "100755"}[m]
		}
		after[path] = mode + " " + text[c.ID]
	}
	for path := range after {
		for other := range after {
			if strings.HasPrefix(other, path+"/") {
				return nil, false
			}
		}
	}
	return after, true
}

// FuzzApply applies what four bytes a change describe, and compares with the model. The order must not matter.
func FuzzApply(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x00"), uint8(0))
	f.Add([]byte("\x03\x01\x02\x00\x03\x02\x01\x01\x02\x05\x00\x00"), uint8(1))
	f.Add([]byte("\x02\x08\x00\x00\x00\x09\x00\x02"), uint8(3))
	paths := []string{"README", "bin/run", "bin/link", "lib/a", "lib/b", "lib/deep/er/c", "lib/deep/er", "lib/deep", "alone/in/here", "alone", "alone/in", "n", "n/m", "README/x"}
	contents := []string{"#!new", "N", "M", "read"}
	text := make(map[object.ID]string)
	for _, c := range contents {
		text[blob(c)] = c
	}
	actions := []remote.Action{remote.New, remote.Modified, remote.Deleted, remote.Renamed}
	f.Fuzz(func(t *testing.T, script []byte, turn uint8) {
		var changes []remote.Change
		for b := range slices.Chunk(script[:min(len(script), 64)], 4) {
			if len(b) < 4 {
				break
			}
			c := remote.Change{Action: actions[b[0]%4], Path: paths[int(b[1])%len(paths)], ID: blob(contents[b[3]%4])}
			if c.Action == remote.Renamed {
				c.OldPath = paths[int(b[2])%len(paths)]
			}
			changes = append(changes, c)
		}
		for i, c := range changes { // the model knows nothing of two changes for one path
			for _, o := range changes[i+1:] {
				if c.Path == o.Path && c != o {
					return
				}
			}
		}
		forest, root := plant(base())
		r, err := changelist.Apply(t.Context(), forest, root, changes, "", modes, noTexts)
		want, can := model(base(), changes, text)
		if can != (err == nil) {
			t.Fatalf("%+v: %v, want success %v", changes, err, can)
		}
		if err != nil {
			return
		}
		same(t, forest, r, want)
		newOnly(t, forest, r)
		if len(changes) > 0 {
			k := int(turn) % len(changes)
			turned := slices.Concat(changes[k:], changes[:k])
			if again, err := changelist.Apply(t.Context(), forest, root, turned, "", modes, noTexts); err != nil || again.Root != r.Root {
				t.Fatalf("in another order: %s, %v, want %s", again.Root, err, r.Root)
			}
		}
	})
}
