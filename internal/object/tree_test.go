package object_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

const someID = "12345678901234567890" // 20 bytes

func TestParseTree(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want []object.Entry // without ids: all are someID
	}{
		{"nothing is the empty tree", "", nil},
		{"each mode that git writes",
			"100644 a\x00" + someID + "100755 b\x00" + someID + "120000 c\x00" + someID + "40000 d\x00" + someID + "160000 e\x00" + someID,
			[]object.Entry{
				{Name: "a", Mode: object.ModeFile}, {Name: "b", Mode: object.ModeExec}, {Name: "c", Mode: object.ModeSymlink},
				{Name: "d", Mode: object.ModeTree}, {Name: "e", Mode: object.ModeGitlink},
			}},
		{"modes of old repositories", "100664 a\x00" + someID + "100640 b\x00" + someID + "100775 c\x00" + someID + "040000 d\x00" + someID,
			[]object.Entry{
				{Name: "a", Mode: object.ModeFile}, {Name: "b", Mode: object.ModeFile}, {Name: "c", Mode: object.ModeExec},
				{Name: "d", Mode: object.ModeTree},
			}},
		{"names that look wrong and are not", "100644 ...\x00" + someID + "100644 a b\nc\\\xff\x00" + someID + "100644 .git2\x00" + someID,
			[]object.Entry{
				{Name: "...", Mode: object.ModeFile}, {Name: "a b\nc\\\xff", Mode: object.ModeFile}, {Name: ".git2", Mode: object.ModeFile},
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := object.ParseTree([]byte(tt.in))
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("%v, %v, want %v", got, err, tt.want)
			}
			for i, want := range tt.want {
				copy(want.ID[:], someID)
				if got[i] != want {
					t.Errorf("entry %d is %v, want %v", i, got[i], want)
				}
			}
		})
	}
}

func TestParseTreeRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"half an id":                   "100644 a\x00" + someID[:19],
		"no id":                        "100644 a\x00",
		"no NUL":                       "100644 a",
		"no mode":                      " a\x00" + someID,
		"no space":                     "100644\x00" + someID,
		"a mode that is no number":     "x a\x00" + someID,
		"a mode beyond 32 bits":        "77777777777777 a\x00" + someID,
		"a directory with permissions": "40755 a\x00" + someID,
		"a device":                     "020000 a\x00" + someID,
		"an empty name":                "100644 \x00" + someID,
		"dot":                          "100644 .\x00" + someID,
		"dot dot":                      "40000 ..\x00" + someID,
		"a slash":                      "100644 a/b\x00" + someID,
		"a name of 256":                "100644 " + strings.Repeat("n", 256) + "\x00" + someID,
		"a name twice":                 "100644 a\x00" + someID + "40000 a\x00" + someID,
		"garbage at the end":           "100644 a\x00" + someID + "\n",
		"HTML":                         "<html><body>Sign in</body></html>",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := object.ParseTree([]byte(in)); !errors.Is(err, object.ErrBadTree) || got != nil {
				t.Errorf("%v, %v, want ErrBadTree", got, err)
			}
		})
	}
}

// FuzzParseTree: whatever a server sends, parsing does not panic; what is accepted has only safe names, no name twice,
// and the same entries again after being written and parsed.
func FuzzParseTree(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("100644 a\x00" + someID + "40000 d\x00" + someID))
	f.Add([]byte("100664 a\x00" + someID))
	f.Add([]byte("120000 ..\x00" + someID))
	f.Add([]byte("0000100644 a\x00" + someID))
	f.Add([]byte("100644 a\x00" + someID[:10]))
	f.Fuzz(func(t *testing.T, payload []byte) {
		entries, err := object.ParseTree(payload)
		if err != nil {
			if !errors.Is(err, object.ErrBadTree) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		seen := make(map[string]bool)
		for _, e := range entries {
			if object.CheckName(e.Name) != nil || seen[e.Name] {
				t.Fatalf("accepted the name %q", e.Name)
			}
			seen[e.Name] = true
		}
		written := object.AppendTree(nil, entries)
		again, err := object.ParseTree(written)
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%d entries, written and parsed %d, %v", len(entries), len(again), err)
		}
		if rewritten := object.AppendTree(nil, again); !bytes.Equal(written, rewritten) {
			t.Fatalf("%q became %q", written, rewritten)
		}
	})
}

func TestSortEntries(t *testing.T) {
	names := []string{"foo-bar", "foo.txt", "foo/", "foo0", "foo0/", "z", "\xff"} // git's order; a slash marks directories
	entries := make([]object.Entry, 0, len(names))
	for i := range names {
		e := object.Entry{Name: names[len(names)-1-i], Mode: object.ModeFile}
		if name, isDir := strings.CutSuffix(e.Name, "/"); isDir {
			e.Name, e.Mode = name, object.ModeTree
		}
		entries = append(entries, e)
	}
	object.SortEntries(entries)
	for i, e := range entries {
		if e.Name != strings.TrimSuffix(names[i], "/") {
			t.Errorf("entry %d is %q, want %q", i, e.Name, names[i])
		}
	}
}

func TestModeByContent(t *testing.T) {
	for in, want := range map[string]object.Mode{
		"": object.ModeFile, "#": object.ModeFile, "#!": object.ModeExec, "#!/bin/sh\n": object.ModeExec, " #!": object.ModeFile,
		"\x7fEL": object.ModeFile, "\x7fELF\x02": object.ModeExec, "text": object.ModeFile,
	} {
		if got := object.ModeByContent([]byte(in)); got != want {
			t.Errorf("%q: %o, want %o", in, got, want)
		}
	}
}
