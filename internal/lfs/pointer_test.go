package lfs_test

import (
	"bytes"
	"crypto/sha256"
	"math"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/lfs"
	"github.com/antares-actor/antares-actor/internal/object"
)

// example is the one of git-lfs's specification.
const example = "version https://git-lfs.github.com/spec/v1\n" +
	"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n" +
	"size 12345\n"

func TestParse(t *testing.T) {
	p, ok := lfs.Parse([]byte(example))
	if !ok || p.Size != 12345 || p.Sum[0] != 0x4d || p.Sum[31] != 0x93 || string(p.Text()) != example {
		t.Errorf("%+v, %v", p, ok)
	}
	if p.ID().String() != "4d7a214614ab2935c943f9e0ff69d22eadbb8f32" {
		t.Errorf("id %s", p.ID())
	}
	for _, size := range []int64{1, 9, 10, math.MaxInt64} {
		want := lfs.Pointer{Sum: sha256.Sum256([]byte("x")), Size: size}
		if got, ok := lfs.Parse(want.Text()); !ok || got != want {
			t.Errorf("size %d: %+v, %v", size, got, ok)
		}
	}
	if p := (lfs.Pointer{Sum: sha256.Sum256([]byte("x")), Size: 1}); p.ID() != object.Sum(object.LFS, []byte("x")) {
		t.Errorf("the file has id %s, and the pointer %s", object.Sum(object.LFS, []byte("x")), p.ID())
	}
}

func TestParseRefuses(t *testing.T) {
	change := func(old, with string) string { return strings.Replace(example, old, with, 1) }
	for name, in := range map[string]string{
		"nothing":                        "",
		"text":                           "no pointer at all",
		"text of a pointer's size":       strings.Repeat("x", len(example)),
		"another version":                change("v1", "v2"),
		"the version before":             change("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"),
		"another hash":                   change("sha256", "sha512"),
		"a short hash":                   change("4d7a", "4d7"),
		"a long hash":                    change("4d7a", "4d7a4"),
		"a hash in capitals":             change("4d7a", "4D7A"),
		"a hash that is none":            change("4d7a", "xxxx"),
		"no size":                        change("size 12345\n", ""),
		"no bytes":                       change("12345", "0"),
		"a negative size":                change("12345", "-12345"),
		"a signed size":                  change("12345", "+12345"),
		"a size with zeros":              change("12345", "012345"),
		"a size with a point":            change("12345", "1234.5"),
		"a size beyond, that is 63 bits": change("12345", "9223372036854775807x"),
		"a size in hex":                  change("12345", "0x12345"),
		"a size with underscores":        change("12345", "12_345"),
		"a size beyond 63 bits":          change("12345", "9223372036854775808"),
		"a size beyond 64 bits":          change("12345", "99999999999999999999"),
		"no end":                         strings.TrimSuffix(example, "\n"),
		"two ends":                       example + "\n",
		"carriage returns":               strings.ReplaceAll(example, "\n", "\r\n"),
		"something before":               " " + example,
		"something behind":               example + "x 1\n",
		"an extension":                   change("oid", "ext-0-foo sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\noid"),
		"two spaces":                     change("size ", "size  "),
		"the order changed":              "version https://git-lfs.github.com/spec/v1\nsize 12345\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n",
		"more than a pointer holds":      example + strings.Repeat("x", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			if p, ok := lfs.Parse([]byte(in)); ok || p != (lfs.Pointer{}) {
				t.Errorf("it is %+v", p)
			}
		})
	}
}

// FuzzParse: what is accepted is written the same way again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(strings.Replace(example, "12345", "9223372036854775807", 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := lfs.Parse(b); ok && (p.Size <= 0 || !bytes.Equal(p.Text(), b)) {
			t.Errorf("%q is %+v", b, p)
		}
	})
}
