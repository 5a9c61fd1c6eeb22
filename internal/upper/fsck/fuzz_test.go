package fsck

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzRedirectFault: a redirect that passes leads to something below the lower root, by names that a directory can have.
func FuzzRedirectFault(f *testing.F) {
	for _, s := range []string{"", "/", "/a", "a", "a/b", "/a//b", "/a/", "..", "/..", "/a/../b", "a\x00", "/" + strings.Repeat("n", 256)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if redirectFault(b) != "" {
			return
		}
		names := strings.Split(strings.TrimPrefix(string(b), "/"), "/")
		if len(names) > 1 && b[0] != '/' || len(b) >= unix.PathMax {
			t.Fatalf("%q passes", b)
		}
		for _, name := range names {
			if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsRune(name, 0) {
				t.Fatalf("%q passes", b)
			}
		}
	})
}

// FuzzFault: no value of an attribute can make it panic.
func FuzzFault(f *testing.F) {
	f.Add("opaque", []byte("y"), uint32(unix.S_IFDIR))
	f.Add("antares.ino", []byte("12345678"), uint32(unix.S_IFREG))
	f.Fuzz(func(t *testing.T, name string, value []byte, mode uint32) {
		if text, harmless := (mark{name, value}).fault(mode); harmless && text == "" {
			t.Fatalf("%q: %q may go, but nothing is wrong with it", name, value)
		}
	})
}

// FuzzOverlays: any text for a mount table.
func FuzzOverlays(f *testing.F) {
	const real = "30 1 0:26 / /mnt\\040point rw - overlay overlay rw,lowerdir=/l,upperdir=/u\\134,workdir=/w\n"
	if found := overlays(strings.NewReader(real)); len(found) != 1 || found["/mnt point"] != "/u\\" {
		f.Fatalf("%q", found)
	}
	f.Add(real)
	f.Fuzz(func(t *testing.T, table string) {
		if found := overlays(strings.NewReader(table)); len(found) > 0 && !strings.Contains(table, "upperdir=") {
			t.Fatalf("%q", found)
		}
	})
}
