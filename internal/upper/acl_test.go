package upper_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// none is what fixture.xattr says of an attribute that is not there.
const none = "(no data available)"

// groupMayWrite is "u::rwx,g::rwx,m::rwx,o::---" with an entry for group 7 that may read and write, as an extended attribute.
var groupMayWrite = []byte{
	2, 0, 0, 0,
	0x01, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
	0x04, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
	0x08, 0, 6, 0, 7, 0, 0, 0,
	0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
	0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
}

// TestADefaultACLIsInherited: by what is made in the directory, and over a whiteout or without a name by what is made for it
// in the work directory.
func TestADefaultACLIsInherited(t *testing.T) {
	const access, inherited = "system.posix_acl_access", "system.posix_acl_default"
	for name, b := range births() {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			if !f.ACLs() {
				t.Fatal("the file system of the tests has no ACLs")
			}
			dir := f.dir("dir")
			check(t, f.SetXattr(dir, inherited, groupMayWrite, 0))
			check(t, f.Whiteout(dir, "old"))
			b.Umask = 0o777 // which does not count here
			for _, child := range []string{"new", "old"} {
				file, covered, err := f.Create(dir, child, b)
				check(t, err)
				file.Release()
				if covered != (child == "old") {
					t.Errorf("%s: covered is %v", child, covered)
				}
			}
			b, err := f.Inherit(dir, b)
			check(t, err)
			st, err := f.Stage(upper.Original{Birth: b})
			check(t, err)
			check(t, f.Commit(st, dir, "staged"))
			st.File.Release()
			want, typ := f.stat("dir/new"), b.Mode&unix.S_IFMT
			if typ != unix.S_IFLNK && want.Mode != b.Mode&^0o007 {
				t.Errorf("mode %o", want.Mode)
			}
			for _, child := range []string{"old", "staged"} {
				if st := f.stat("dir/" + child); st.Mode != want.Mode || st.Uid != b.UID || st.Gid != b.GID {
					t.Errorf("%s: mode %o, owner %d:%d, want mode %o", child, st.Mode, st.Uid, st.Gid, want.Mode)
				}
				for _, list := range []string{access, inherited} {
					if got, want := f.xattr("dir/"+child, list), f.xattr("dir/new", list); got != want {
						t.Errorf("%s: %s is %q, want %q", child, list, got, want)
					}
				}
			}
			if got := f.xattr("dir/new", inherited) == string(groupMayWrite); got != (typ == unix.S_IFDIR) {
				t.Errorf("what is made in it inherits as well: %v", got)
			}
			if listed := f.xattr("dir/new", access)[0] == groupMayWrite[0]; listed != (typ != unix.S_IFLNK) {
				t.Errorf("it has a list: %v", listed)
			}
			if left := names(t, f.work+"/tmp"); len(left) > 0 {
				t.Errorf("work/tmp holds %v", left)
			}
		})
	}
}

func TestTheUmaskCountsWithoutADefaultACL(t *testing.T) {
	f := newStore(t)
	for mode, want := range map[uint32]uint32{unix.S_IFREG | 0o6777: unix.S_IFREG | 0o6740, unix.S_IFDIR | 0o1777: unix.S_IFDIR | 0o1740} {
		f.create("x", upper.Birth{Mode: mode, Umask: 0o037})
		if st := f.stat("x"); st.Mode != want {
			t.Errorf("mode %o, want %o", st.Mode, want)
		}
		check(t, os.Remove(f.path("x")))
	}
}

// TestTheWorkDirectoryGivesNothing: it may stand where a default ACL is inherited.
func TestTheWorkDirectoryGivesNothing(t *testing.T) {
	f := newStore(t)
	f.Store.Close()
	above := filepath.Dir(f.work)
	check(t, unix.Setxattr(above, "system.posix_acl_default", groupMayWrite, 0))
	check(t, os.RemoveAll(f.work))
	f.open()
	work := make([]byte, 100)
	if n, err := unix.Getxattr(f.work, "system.posix_acl_default", work); err != nil || !bytes.Equal(work[:n], groupMayWrite) {
		t.Fatalf("the work directory inherited nothing: %v", err)
	}
	st, err := f.Stage(original(upper.Birth{Mode: unix.S_IFREG | 0o666}))
	check(t, err)
	check(t, f.Commit(st, f.Root(), "copy"))
	st.File.Release()
	if got := f.xattr("copy", "system.posix_acl_access"); got != none || f.stat("copy").Mode != unix.S_IFREG|0o666 {
		t.Errorf("a copy got %q and mode %o from it", got, f.stat("copy").Mode)
	}
}
