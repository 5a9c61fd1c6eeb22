package object_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

func TestSumIsGitsID(t *testing.T) {
	tests := []struct {
		name string
		kind object.Kind
		in   string
		want string // from git hash-object
	}{
		{"empty blob", object.Blob, "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
		{"empty tree", object.Tree, "", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"},
		{"large file: the start of its SHA-256", object.LFS, "hello\n", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc71"},
		{"blob", object.Blob, "hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := object.Sum(tt.kind, []byte(tt.in)).String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			h := object.NewHash(tt.kind, int64(len(tt.in)))
			h.Write([]byte(tt.in))
			if got := object.ID(h.Sum(nil)).String(); got != tt.want {
				t.Errorf("streamed: %s, want %s", got, tt.want)
			}
			var id object.ID
			if h.Sum(id[:0]); id.String() != tt.want || h.Size() != len(id) {
				t.Errorf("in place: %s, want %s", id, tt.want)
			}
		})
	}
	if object.EmptyBlob.String() != tests[0].want || object.EmptyTree.String() != tests[1].want {
		t.Error("the empty objects' ids are wrong")
	}
}

func TestParse(t *testing.T) {
	const hex = "ce013625030ba8dba906f756967f9e9ca394464a"
	for _, in := range []string{hex, "sha1:" + hex, strings.ToUpper(hex)} {
		if id, err := object.Parse(in); err != nil || id.String() != hex || id.IsZero() {
			t.Errorf("Parse(%q) = %v, %v", in, id, err)
		}
	}
	for _, in := range []string{"", "ce01", hex[1:], hex + "0", hex + hex[:24], "g" + hex[1:], "sha256:" + hex, " " + hex[1:]} {
		if id, err := object.Parse(in); !errors.Is(err, object.ErrBadID) || !id.IsZero() {
			t.Errorf("Parse(%q) = %v, %v, want the zero id and ErrBadID", in, id, err)
		}
	}
}
