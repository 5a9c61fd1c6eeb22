package actors

import (
	"testing"

	"golang.org/x/sys/unix"
)

// warm are requests that snapshots answer: without a message, and without an allocation.
func warm(r *rig) map[string]func() error {
	t := r.t
	t.Helper()
	check(t, r.write("b/mine", "upper's"))
	r.wantText("a/one.txt", "one\n")
	lower, mine, dir, b := r.ino("a/one.txt"), r.ino("b/mine"), r.ino("a"), r.ino("b")
	p := make([]byte, 100)
	return map[string]func() error{
		"lookup of a lower file": func() error {
			_, err := r.fs.Lookup(nobodyWaits, dir, "one.txt")
			return err
		},
		"lookup of an upper file": func() error {
			_, err := r.fs.Lookup(nobodyWaits, b, "mine")
			return err
		},
		"lookup of nothing":        func() error { _, err := r.fs.Lookup(nobodyWaits, dir, "none"); return ignoring(unix.ENOENT, err) },
		"getattr of a lower file":  func() error { _, err := r.fs.Getattr(nobodyWaits, lower); return err },
		"getattr of an upper file": func() error { _, err := r.fs.Getattr(nobodyWaits, mine); return err },
		"read of a lower file":     func() error { _, err := r.fs.Read(nobodyWaits, lower, p, 0); return err },
		"read of an upper file":    func() error { _, err := r.fs.Read(nobodyWaits, mine, p, 0); return err },
		"write to an upper file":   func() error { _, err := r.fs.Write(nobodyWaits, mine, p[:8], 0, false); return err },
	}
}

func TestWarmRequestsAllocateNothing(t *testing.T) {
	r := newRig(t)
	for what, do := range warm(r) {
		check(t, do())
		if n := testing.AllocsPerRun(1000, func() { check(t, do()) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func BenchmarkWarm(b *testing.B) {
	r := newRig(b)
	for what, do := range warm(r) {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRoundTrip is what it costs to ask an actor and be answered: a listing that is there already is asked for.
func BenchmarkRoundTrip(b *testing.B) {
	r := newRig(b)
	_, err := r.list("a")
	check(b, err)
	dir := r.node("a")
	b.ReportAllocs()
	for b.Loop() {
		if err := r.fs.ask(nobodyWaits, dir.Owner, &loadTable{Dir: dir}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateUnlink is two mutations, with their system calls.
func BenchmarkCreateUnlink(b *testing.B) {
	r := newRig(b)
	check(b, r.mkdir("d"))
	dir := r.ino("d")
	b.ReportAllocs()
	for b.Loop() {
		a, err := r.fs.Create(nobodyWaits, dir, "new", births["file"])
		check(b, err)
		check(b, r.fs.Remove(nobodyWaits, dir, "new", false))
		r.fs.Forget(a.Ino, 1)
	}
}
