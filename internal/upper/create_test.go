package upper_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// births has one of each type, with bits that a creation loses to umask, to chown or to the file system if it is careless.
func births() map[string]upper.Birth {
	return map[string]upper.Birth{
		"a regular file":       {Mode: unix.S_IFREG | 0o666, UID: 12, GID: 34},
		"a set-uid program":    {Mode: unix.S_IFREG | 0o6755, UID: 12, GID: 34},
		"a file for nobody":    {Mode: unix.S_IFREG, UID: 12, GID: 34},
		"a directory":          {Mode: unix.S_IFDIR | 0o777, UID: 12, GID: 34},
		"a sticky directory":   {Mode: unix.S_IFDIR | 0o1777},
		"a symbolic link":      {Mode: unix.S_IFLNK | 0o777, UID: 12, GID: 34, Target: "../no such/place"},
		"a fifo":               {Mode: unix.S_IFIFO | 0o622, UID: 12, GID: 34},
		"a socket":             {Mode: unix.S_IFSOCK | 0o666, UID: 1},
		"a character device":   {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 3)},
		"a block device":       {Mode: unix.S_IFBLK | 0o660, Rdev: unix.Mkdev(259, 70000), GID: 6},
		"a file of the daemon": {Mode: unix.S_IFREG | 0o640},
	}
}

func TestCreateMakesWhatItIsAsked(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		for name, b := range births() {
			t.Run(name, func(t *testing.T) {
				f := newStore(t)
				old := unix.Umask(umask)
				file := f.create("x", b)
				unix.Umask(old)
				st := f.stat("x")
				if st.Mode != b.Mode || st.Uid != b.UID || st.Gid != b.GID || st.Rdev != b.Rdev {
					t.Errorf("umask %o: mode %o, owner %d:%d, rdev %x", umask, st.Mode, st.Uid, st.Gid, st.Rdev)
				}
				if born := file.Born(); born.Mode != st.Mode || born.Uid != st.Uid || born.Gid != st.Gid || file.Ino() != st.Ino {
					t.Errorf("born as %+v, is %+v", born, st)
				}
				if b.Target != "" {
					if target, err := file.Readlink(); err != nil || target != b.Target {
						t.Errorf("target %q, %v", target, err)
					}
				}
			})
		}
	}
}

func TestCreateInASetGidDirectory(t *testing.T) {
	f := newStore(t)
	dir := f.create("dir", upper.Birth{Mode: unix.S_IFDIR | 0o2775, UID: 5, GID: 77})
	for name, want := range map[string]uint32{"file": unix.S_IFREG | 0o644, "sub": unix.S_IFDIR | 0o2755} {
		file, _, err := f.Create(dir, name, upper.Birth{Mode: want &^ unix.S_ISGID, UID: 5, GID: 5})
		check(t, err)
		file.Release()
		if st := f.stat("dir/" + name); st.Gid != 77 || st.Mode != want {
			t.Errorf("%s: mode %o, group %d", name, st.Mode, st.Gid)
		}
	}
}

func TestCreateRefusesANameThatIsThere(t *testing.T) {
	f := newStore(t)
	for name, b := range births() {
		if b.Rdev == 0 && b.Mode&unix.S_IFMT == unix.S_IFCHR {
			continue
		}
		first := f.create(name, b)
		for other, again := range births() {
			file, covered, err := f.Create(f.Root(), name, again)
			if file != nil || covered || !errors.Is(err, unix.EEXIST) {
				t.Errorf("%s over %s: %v, %v", other, name, covered, err)
			}
		}
		if st := f.stat(name); st.Ino != first.Ino() {
			t.Errorf("%s was replaced", name)
		}
	}
}

func TestCreateReplacesAWhiteout(t *testing.T) {
	for name, b := range births() {
		t.Run("with "+name, func(t *testing.T) {
			f := newStore(t)
			check(t, f.Whiteout(f.Root(), "x"))
			if !f.whiteout("x") || !f.HasWhiteout(f.Root(), "x") {
				t.Fatal("no whiteout")
			}
			file, covered, err := f.Create(f.Root(), "x", b)
			check(t, err)
			file.Release()
			st := f.stat("x")
			if !covered || st.Mode != b.Mode || st.Uid != b.UID || st.Gid != b.GID {
				t.Errorf("covered %v, mode %o, owner %d:%d", covered, st.Mode, st.Uid, st.Gid)
			}
			opaque := f.xattr("x", "trusted.overlay.opaque") == "y"
			if want := b.Mode&unix.S_IFMT == unix.S_IFDIR; opaque != want {
				t.Errorf("opaque is %v, want %v: or what is below shows through", opaque, want)
			}
			if left := names(t, f.work+"/tmp"); len(left) > 0 {
				t.Errorf("work/tmp holds %v", left)
			}
		})
	}
}

func TestCreateErrorsLeaveNothing(t *testing.T) {
	f := newStore(t)
	long := string(make([]byte, 0, 256))
	for range 256 {
		long += "n"
	}
	for name, tt := range map[string]struct {
		name string
		b    upper.Birth
		want error
	}{
		"a name that is too long":  {long, upper.Birth{Mode: unix.S_IFREG}, unix.ENAMETOOLONG},
		"a link to nowhere at all": {"link", upper.Birth{Mode: unix.S_IFLNK}, unix.ENOENT},
		"no type that exists":      {"type", upper.Birth{Mode: 0o110000}, unix.EINVAL},
	} {
		if _, _, err := f.Create(f.Root(), tt.name, tt.b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	file := f.write("file", "")
	if _, _, err := f.Create(file, "below", upper.Birth{Mode: unix.S_IFREG}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	if got := names(t, f.upper); len(got) != 1 {
		t.Errorf("upper holds %v", got)
	}
}

func TestLink(t *testing.T) {
	f := newStore(t)
	file, dir := f.write("a", "text"), f.dir("dir")
	covered, err := f.Link(file, dir, "b")
	check(t, err)
	if st := f.stat("dir/b"); covered || st.Ino != file.Ino() || st.Nlink != 2 {
		t.Errorf("covered %v, %d links", covered, st.Nlink)
	}
	if _, err := f.Link(file, dir, "b"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("over a file: %v", err)
	}
	check(t, f.Whiteout(dir, "gone"))
	covered, err = f.Link(file, dir, "gone")
	check(t, err)
	if st := f.stat("dir/gone"); !covered || st.Ino != file.Ino() || st.Nlink != 3 {
		t.Errorf("over a whiteout: covered %v, %d links", covered, st.Nlink)
	}
	if left := names(t, f.work+"/tmp"); len(left) > 0 {
		t.Errorf("work/tmp holds %v", left)
	}
}

func TestLinkTakesASymbolicLinkItself(t *testing.T) {
	f := newStore(t)
	for name, b := range map[string]upper.Birth{
		"link": {Mode: unix.S_IFLNK | 0o777, Target: "/etc/passwd"},
		"fifo": {Mode: unix.S_IFIFO | 0o600},
	} {
		file := f.create(name, b)
		_, err := f.Link(file, f.Root(), name+"2")
		check(t, err)
		if st := f.stat(name + "2"); st.Ino != file.Ino() {
			t.Errorf("%s2 is inode %d, want %d", name, st.Ino, file.Ino())
		}
	}
}
