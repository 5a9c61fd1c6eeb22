package tree_test

import (
	"testing"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// What loads says the same when it is loaded again, and when it was compacted.
func loadsTheSame(t *testing.T, head, log []byte) {
	t.Helper()
	f := fileWith(t, head, log)
	j, r, err := tree.LoadJournal(f)
	if err != nil {
		return
	}
	first := text(t, r)
	for range 2 {
		tree.Compact(j)
		tree.AwaitCompaction(j)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j, r, err = tree.LoadJournal(f); err != nil {
			t.Fatal(err)
		}
		if again := text(t, r); again != first {
			t.Fatalf("first\n%s\nthen\n%s", first, again)
		}
	}
	_ = j.Close()
}

func FuzzJournal(f *testing.F) {
	head, log := parts(f, small(f))
	f.Add(log)
	f.Add(log[:len(log)-3])
	f.Fuzz(func(t *testing.T, log []byte) { loadsTheSame(t, head, log) })
}

// Records whose sums are right may still have nonsense in them.
func FuzzJournalRecord(f *testing.F) {
	head, log := parts(f, small(f))
	for at := 0; at < len(log); {
		end := at + tree.Length(log[at:])
		f.Add(log[at+tree.Ahead-1], log[at+tree.Ahead:end-4])
		at = end
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		loadsTheSame(t, head, append(log[:len(log):len(log)], tree.Record(kind, payload)...))
	})
}
