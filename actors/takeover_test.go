package actors

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// withSession has the rig's mount outlive its process.
func withSession(_ *Config, r *rig) {
	r.session = &Session{Journal: r.memory("journal"), Keep: func(*os.File) error { return nil }}
}

func (r *rig) memory(name string) *os.File {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	check(r.t, err)
	f := os.NewFile(uintptr(fd), name)
	r.t.Cleanup(func() { _ = f.Close() })
	return f
}

// takeOver has another mount go on with the session, as a new process does. The kernel knows what it knew.
func (r *rig) takeOver() {
	r.t.Helper()
	r.takeOverFrom(r.session.Journal)
}

// takeOverFrom is takeOver with the journal as it was at another time.
func (r *rig) takeOverFrom(journal *os.File) {
	r.t.Helper()
	if err := r.mount.HandOver(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
		check(r.t, err)
	}
	<-r.mount.done // what takes longer than the patience for it is over when the process has gone
	r.session = &Session{Journal: journal, Fuse: r.memory("fuse")}
	known := r.known
	check(r.t, r.mountAgain())
	r.known = known
}

// onceMore is a request that the kernel sends again.
func (r *rig) onceMore(do func(Caller) error) error {
	r.fs.Resent(theRequest)
	return do(Caller{Request: theRequest, Resent: true})
}

// theRequest is the number of the one that is sent again.
const theRequest = 77

// change is a request that must not be done twice.
type change struct {
	prepare func(r *rig) error
	// request looks up what it needs, as the kernel has done before, and returns the request itself.
	request func(r *rig) func(Caller) error
	intent  func(r *rig) tree.Intent // what it leaves in the journal
	twice   error                    // what it says if somebody else does it again
}

func spot(r *rig, dir, name string) tree.Spot { return tree.Spot{Parent: r.ino(dir), Name: name} }

func making(dir, name string, b upper.Birth) change {
	return change{
		request: func(r *rig) func(Caller) error {
			parent := r.ino(dir)
			return func(who Caller) error { _, err := r.took(r.fs.Create(who, parent, name, b)); return err }
		},
		intent: func(r *rig) tree.Intent { return tree.Intent{To: spot(r, dir, name)} },
		twice:  unix.EEXIST,
	}
}

func removing(dir, name string, isDir bool) change {
	return change{
		request: func(r *rig) func(Caller) error {
			parent := r.ino(dir)
			r.ino(dir + "/" + name)
			return func(who Caller) error { return r.fs.Remove(who, parent, name, isDir) }
		},
		intent: func(r *rig) tree.Intent {
			n := r.node(dir + "/" + name)
			return tree.Intent{Ino: n.Ino, From: spot(r, dir, name), Lower: lowerState(n)}
		},
		twice: unix.ENOENT,
	}
}

func moving(dir, name, toDir, toName string, flags uint32) change {
	return change{
		request: func(r *rig) func(Caller) error {
			from, to := r.ino(dir), r.ino(toDir)
			r.ino(dir + "/" + name)
			_, _ = r.lookup(toDir + "/" + toName)
			return func(who Caller) error { return r.fs.Rename(who, from, name, to, toName, flags) }
		},
		intent: func(r *rig) tree.Intent {
			in := tree.Intent{Ino: r.ino(dir + "/" + name), From: spot(r, dir, name), To: spot(r, toDir, toName)}
			if r.exists(toDir + "/" + toName) {
				in.Displaced = r.ino(toDir + "/" + toName)
			}
			return in
		},
		twice: unix.ENOENT,
	}
}

func (c change) after(prepare func(r *rig) error) change {
	c.prepare = prepare
	return c
}

var regular = upper.Birth{Mode: unix.S_IFREG | 0o644}

// changes are all requests that must not be done twice, over each layer and kind of target.
func changes() map[string]change {
	birth := func(mode uint32) upper.Birth { return upper.Birth{Mode: mode | 0o751, UID: 3, GID: 4} }
	all := map[string]change{
		"mknod":                          making("a", "new", birth(unix.S_IFREG)),
		"mknod of a pipe":                making("a", "new", birth(unix.S_IFIFO)),
		"mkdir":                          making("a/deep", "new", birth(unix.S_IFDIR)),
		"symlink":                        making("a", "new", upper.Birth{Mode: unix.S_IFLNK | 0o777, Target: "x"}),
		"mknod over a whiteout":          making("a", "one.txt", regular).after(func(r *rig) error { return r.unlink("a/one.txt") }),
		"mkdir over a whiteout":          making("a", "one.txt", birth(unix.S_IFDIR)).after(func(r *rig) error { return r.unlink("a/one.txt") }),
		"unlink of a lower file":         removing("a", "one.txt", false),
		"unlink of a changed file":       removing("a", "one.txt", false).after(func(r *rig) error { return r.writeAt("a/one.txt", "X", 0) }),
		"unlink of a new file":           removing("a", "new", false).after(func(r *rig) error { return r.write("a/new", "new") }),
		"unlink of one link":             removing("a", "one.txt", false).after(func(r *rig) error { return r.link("a/one.txt", "b/other") }),
		"rmdir of a new directory":       removing("a", "new", true).after(func(r *rig) error { return r.mkdir("a/new") }),
		"rmdir of a lower directory":     removing("a", "deep", true).after(emptied),
		"rename":                         moving("a", "one.txt", "b", "new", 0),
		"rename of a new file":           moving("a", "new", "b", "new", 0).after(func(r *rig) error { return r.write("a/new", "new") }),
		"rename over a lower file":       moving("a", "one.txt", "a", "two.txt", 0),
		"rename over a changed file":     moving("a", "one.txt", "b", "one.txt", 0).after(func(r *rig) error { return r.writeAt("b/one.txt", "X", 0) }),
		"rename of a lower directory":    moving("a", "deep", "b", "new", 0),
		"rename over a new directory":    moving("a", "deep", "b", "new", 0).after(func(r *rig) error { return r.mkdir("b/new") }),
		"rename over a lower directory":  moving("b", "deep", "a", "deep", 0).after(emptied),
		"rename of a directory, covered": moving("b", "deep", "a", "one.txt", 0).after(func(r *rig) error { return r.unlink("a/one.txt") }),
		"rename, noreplace":              moving("a", "one.txt", "b", "new", unix.RENAME_NOREPLACE),
		"exchange":                       moving("a", "one.txt", "b", "deep", unix.RENAME_EXCHANGE),
	}
	linking := change{
		request: func(r *rig) func(Caller) error {
			n, dir := r.ino("a/one.txt"), r.ino("b")
			return func(who Caller) error { _, err := r.took(r.fs.Link(who, n, dir, "new")); return err }
		},
		intent: func(r *rig) tree.Intent { return tree.Intent{Ino: r.ino("a/one.txt"), To: spot(r, "b", "new")} },
		twice:  unix.EEXIST,
	}
	all["link"] = linking
	exchange := all["exchange"]
	exchange.twice = nil // it is done, and undoes the first one
	all["exchange"] = exchange
	marking := func(value []byte, flags int, twice error) change {
		return change{
			request: func(r *rig) func(Caller) error {
				n := r.ino("a/one.txt")
				return func(who Caller) error { return r.fs.SetXattr(who, n, "user.x", value, flags, false) }
			},
			intent: func(r *rig) tree.Intent { return tree.Intent{Ino: r.ino("a/one.txt")} },
			twice:  twice,
		}
	}
	all["setxattr, create"] = marking([]byte("v"), unix.XATTR_CREATE, unix.EEXIST)
	all["removexattr"] = marking(nil, 0, unix.ENODATA).after(func(r *rig) error {
		return r.fs.SetXattr(nobodyWaits, r.ino("a/one.txt"), "user.x", []byte("v"), 0, false)
	})
	return all
}

// emptied removes what is in a/deep.
func emptied(r *rig) error {
	return firstError(r.unlink("a/deep/x/y.txt"), r.rmdir("a/deep/x"), r.unlink("a/deep/big.bin"))
}

// asWithoutCrash is what the tree looks like after the change where nothing dies.
func (c change) asWithoutCrash(t *testing.T) (snapshot string) {
	t.Run("undisturbed", func(t *testing.T) { // its engine must have ended when the next one does
		r := newRig(t)
		c.ready(r)
		check(t, c.request(r)(nobodyWaits))
		snapshot = withoutNumbers(r.snapshot())
	})
	return snapshot
}

func (c change) ready(r *rig) {
	if c.prepare != nil {
		check(r.t, c.prepare(r))
	}
}

var numbers = regexp.MustCompile(`ino [0-9a-f]+|mtime \{[^}]*\}`)

// withoutNumbers takes out of a snapshot what differs from mount to mount.
func withoutNumbers(snapshot string) string { return numbers.ReplaceAllString(snapshot, "") }

// The process dies after the change and before its answer, several times.
func TestAChangeThatIsSentAgainIsDoneOnce(t *testing.T) {
	for name, c := range changes() {
		t.Run(name, func(t *testing.T) {
			want := c.asWithoutCrash(t)
			r := newRig(t, withSession)
			c.ready(r)
			do := c.request(r)
			check(t, do(Caller{Request: theRequest}))
			for range 2 {
				r.takeOver()
				check(t, r.onceMore(do))
				if got := withoutNumbers(r.snapshot()); got != want {
					t.Errorf("it became\n%s\nwant\n%s", got, want)
				}
			}
			if c.twice != nil {
				wantErr(t, "somebody else's", do(Caller{Request: theRequest + 1}), c.twice)
			}
			r.forgetAll()
			r.orphansBecome(0)
			r.session = nil
			r.wantSameAfterRemount()
		})
	}
}

// The process dies before the change, when it has said that it will do it.
func TestAChangeThatHadBegunIsDone(t *testing.T) {
	for name, c := range changes() {
		t.Run(name, func(t *testing.T) {
			want := c.asWithoutCrash(t)
			r := newRig(t, withSession)
			c.ready(r)
			do := c.request(r)
			check(t, r.fs.core.journal.Begin(theRequest, c.intent(r)))
			r.takeOver()
			check(t, r.onceMore(do))
			if got := withoutNumbers(r.snapshot()); got != want {
				t.Errorf("it became\n%s\nwant\n%s", got, want)
			}
			r.forgetAll()
			r.orphansBecome(0)
			r.session = nil
			r.wantSameAfterRemount()
		})
	}
}

// What others made before is not taken for the request's own work.
func TestAChangeThatHadNotBegunFindsWhatOthersDid(t *testing.T) {
	for name, c := range changes() {
		if c.twice == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, withSession)
			c.ready(r)
			do := c.request(r)
			check(t, do(Caller{Request: theRequest + 1}))
			r.takeOver()
			wantErr(t, "sent again", r.onceMore(do), c.twice)
		})
	}
}

// What the kernel knew stays what it was: numbers, contents, and files without a name.
func TestNodesOutliveTheirProcess(t *testing.T) {
	r := newRig(t, withSession)
	r.wantText("a/two.txt", "two\n")
	check(t, firstError(r.write("new", "new"), r.mkdir("c/dir"), r.write("c/dir/file", "in it")))
	held := map[string]uint64{} // unlinked and open, by content
	for path, text := range map[string]string{"a/one.txt": "one\n", "new": "new", "b/one.txt": "B one\n", "c/only.txt": "only\n"} {
		if path == "b/one.txt" {
			check(t, r.writeAt(path, "B", 0))
		}
		held[text] = r.ino(path)
		check(t, r.unlink(path))
	}
	check(t, r.rename("a/deep", "c/moved", 0))
	inside := r.ino("c/moved/x/y.txt")
	temp, err := r.took(r.fs.CreateTemp(nobodyWaits, r.ino("a"), regular))
	check(t, err)
	_, err = r.fs.Write(nobodyWaits, temp.Ino, []byte("temp"), 0, false)
	check(t, err)
	held["temp"] = temp.Ino
	before := r.snapshot()
	for range 3 {
		r.takeOver()
		p := make([]byte, 20)
		for text, ino := range held {
			a, err := r.fs.Getattr(nobodyWaits, ino)
			if n, rerr := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || rerr != nil || string(p[:n]) != text || a.Nlink != 0 {
				t.Errorf("%q reads %q with %d links: %v, %v", text, p[:n], a.Nlink, err, rerr)
			}
		}
		if n, err := r.fs.Read(nobodyWaits, inside, p, 0); err != nil || string(p[:n]) != "y\n" {
			t.Errorf("in the renamed directory: %q, %v", p[:n], err)
		}
		if got := r.snapshot(); got != before {
			t.Errorf("it became\n%s\nwant\n%s", got, before)
		}
	}
	r.orphansBecome(3) // those in upper
	_, err = r.fs.Write(nobodyWaits, held["only\n"], []byte("O"), 0, false)
	check(t, err)
	r.orphansBecome(4)
	r.wantKnownToTheLast(r.ino("a/two.txt"), "two\n")
	for text, ino := range held {
		r.wantKnownToTheLast(ino, strings.Replace(text, "only", "Only", 1))
	}
	r.forgetAll()
	r.orphansBecome(0)
	if n := r.fs.core.index.Len(); n != 1 {
		t.Errorf("%d nodes are left", n)
	}
	if _, err := r.fs.Getattr(nobodyWaits, inside); !errors.Is(err, ErrStale) {
		t.Errorf("a forgotten node: %v", err)
	}
}

// What a request refused it refuses again, however often it is sent.
func TestAnAttributeThatCannotBeSetIsRefusedAgain(t *testing.T) {
	r := newRig(t, withSession)
	n := r.ino("a/one.txt")
	check(t, r.fs.SetXattr(nobodyWaits, n, "user.there", []byte("v"), 0, false))
	for name, refused := range map[string]struct {
		do   func(Caller) error
		want error
	}{
		"create": {func(who Caller) error {
			return r.fs.SetXattr(who, n, "user.there", []byte("w"), unix.XATTR_CREATE, false)
		}, unix.EEXIST},
		"replace": {func(who Caller) error { return r.fs.SetXattr(who, n, "user.x", []byte("w"), unix.XATTR_REPLACE, false) }, unix.ENODATA},
		"remove":  {func(who Caller) error { return r.fs.SetXattr(who, n, "user.x", nil, 0, false) }, unix.ENODATA},
	} {
		wantErr(t, name, refused.do(Caller{Request: theRequest}), refused.want)
		r.takeOver()
		wantErr(t, name+", sent again", r.onceMore(refused.do), refused.want)
	}
}

// A file with two names stands by one of them, and is open by the other one: the kernel may forget the directory of the first.
func TestAFileOutlivesItsProcessInAForgottenDirectory(t *testing.T) {
	r := newRig(t, withSession)
	check(t, firstError(r.mkdir("c/dir"), r.mkdir("c/dir/below"), r.write("c/dir/below/file", "text")))
	n, dir, below := r.ino("c/dir/below/file"), r.ino("c/dir"), r.ino("c/dir/below")
	_, err := r.took(r.fs.Link(nobodyWaits, n, r.ino("a"), "second"))
	check(t, err)
	for _, forgotten := range []uint64{below, dir} {
		r.forget(forgotten)
	}
	r.fs.core.journal.Answered(0) // what link meant to do does not say where the file is
	for range 3 {
		r.takeOver()
		if r.fs.core.index.Knows(below) {
			t.Fatal("the directory is known")
		}
		a, err := r.fs.Getattr(nobodyWaits, n)
		if err != nil || a.Nlink != 2 || a.Size != 4 {
			t.Errorf("%+v, %v", a, err)
		}
	}
	r.forgetAll()
	r.session = nil
	r.wantSameAfterRemount()
}
