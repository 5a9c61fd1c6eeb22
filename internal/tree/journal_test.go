package tree_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// memfd makes an empty file in memory, like the one that a journal is kept in.
func memfd(t testing.TB) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "journal")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// fileWith makes a file in memory with this content behind the first page's hole.
func fileWith(t testing.TB, head, log []byte) *os.File {
	t.Helper()
	f := memfd(t)
	for off, b := range map[int64][]byte{0: head, tree.FirstStart: log} {
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// parts returns a small journal's header and records.
func parts(t testing.TB, f *os.File) (head, log []byte) {
	t.Helper()
	all, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return all[:16], all[tree.FirstStart:]
}

func load(t testing.TB, f *os.File) (*tree.Journal, *tree.Recovered) {
	t.Helper()
	j, r, err := tree.LoadJournal(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, r
}

// text shows all that was recovered.
func text(t testing.TB, r *tree.Recovered) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func child(ino uint64, typ uint32, parent *tree.Node, name string) *tree.Node {
	return tree.NewNode(ino, nil, typ, tree.Place{Parent: parent, Name: name}, tree.State{Where: tree.Lower, Size: 5})
}

// everything writes a record of each kind.
func everything(t testing.TB, x *tree.Index, j *tree.Journal) {
	t.Helper()
	root := child(tree.RootIno, unix.S_IFDIR, nil, "")
	dir := child(10, unix.S_IFDIR, root, "dir")
	file, gone, moved := child(11, unix.S_IFREG, dir, "file"), child(12, unix.S_IFLNK, dir, "gone"), child(13, unix.S_IFREG, dir, "日本")
	orphan := child(14, unix.S_IFREG, dir, "orphan")
	j.Note('i', []byte("init"))
	j.Note('c', []byte("commit"))
	j.Note('i', []byte("INIT"))
	x.Remember(root, 100)
	x.Remember(dir, 100)
	for _, n := range []*tree.Node{file, gone, moved, orphan, file, file} {
		x.Remember(n, 101)
	}
	x.Unremember(11, 101)
	x.Forget(12, 1)
	moved.SetPlace(tree.Place{Parent: root, Name: "elsewhere"})
	j.Moved(moved)
	s := tree.State{
		Orphan: true, Mode: unix.S_IFREG | 0o755, Size: tree.UnknownSize, Object: object.EmptyBlob, UpperIno: 77, Indexed: true,
		Below: &tree.Below{Halves: []tree.Half{{Layer: 0, Path: "a/b"}, {Layer: 300, Path: ""}}, Redirect: "r", Origin: "o/p"},
	}
	orphan.SetState(s)
	j.Orphaned(orphan)
	for unique := range uint64(3) {
		err := j.Begin(200+unique, tree.Intent{
			Ino: 11, From: tree.Spot{Parent: 10, Name: "file"}, To: tree.Spot{Parent: 1, Name: "new"},
			Displaced: 13, Lower: &s, DisplacedLower: &tree.State{Where: tree.Upper, UpperIno: 5},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Begin(300, tree.Intent{To: tree.Spot{Parent: 10, Name: "made"}}); err != nil {
		t.Fatal(err)
	}
	j.Answered(201)
	x.Remember(file, 102)
	j.Answered(102)
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
}

const everythingText = `notes: c=commit i=INIT
10: 1/dir type 40000 count 1
11: 10/file type 100000 count 3
13: 1/elsewhere type 100000 count 1
14: 10/orphan type 100000 count 1 orphan
intents: 200 202 300
counted: 100=[10] 101=[12 13 14 11 11]
`

// brief shows what was recovered in a few lines.
func brief(r *tree.Recovered) string {
	var b strings.Builder
	fmt.Fprintf(&b, "notes: c=%s i=%s\n", r.Notes['c'], r.Notes['i'])
	for ino := range uint64(20) {
		if n := r.Nodes[ino]; n != nil {
			fmt.Fprintf(&b, "%d: %d/%s type %o count %d", ino, n.Parent, n.Name, n.Type, n.Count)
			if n.Orphan != nil {
				b.WriteString(" orphan")
			}
			b.WriteString("\n")
		}
	}
	for _, what := range []string{"intents", "counted"} {
		b.WriteString(what + ":")
		for unique := range uint64(400) {
			if _, ok := r.Intents[unique]; ok && what == "intents" {
				fmt.Fprintf(&b, " %d", unique)
			}
			if inos, ok := r.Counted[unique]; ok && what == "counted" {
				fmt.Fprintf(&b, " %d=%d", unique, inos)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// small returns a journal with everything, closed.
func small(t testing.TB) *os.File {
	t.Helper()
	f := memfd(t)
	j, err := tree.NewJournal(f)
	if err != nil {
		t.Fatal(err)
	}
	x := tree.NewIndex()
	x.Attach(j)
	everything(t, x, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestJournalSaysWhatWasWritten(t *testing.T) {
	f := small(t)
	_, r := load(t, f)
	if got := brief(r); got != everythingText {
		t.Errorf("got\n%s\nwant\n%s", got, everythingText)
	}
	in, s := r.Intents[200], r.Nodes[14].Orphan
	if in.Ino != 11 || in.From != (tree.Spot{Parent: 10, Name: "file"}) || in.To != (tree.Spot{Parent: 1, Name: "new"}) || in.Displaced != 13 {
		t.Errorf("intent: %+v", in)
	}
	if *in.DisplacedLower != (tree.State{Where: tree.Upper, UpperIno: 5}) || r.Intents[300].Lower != nil {
		t.Errorf("states of intents: %+v %+v", in.DisplacedLower, r.Intents[300].Lower)
	}
	for _, s := range []*tree.State{s, in.Lower} {
		b, _ := json.Marshal(s.Below)
		if !s.Orphan || !s.Indexed || s.Size != tree.UnknownSize || s.Mode != unix.S_IFREG|0o755 || s.Object != object.EmptyBlob ||
			s.UpperIno != 77 || s.Where != tree.Lower ||
			string(b) != `{"Halves":[{"Layer":0,"Path":"a/b"},{"Layer":300,"Path":""}],"Redirect":"r","Origin":"o/p"}` {
			t.Errorf("%+v %s", s, b)
		}
	}
}

// A journal that was loaded goes on: what is written then is behind what was there.
func TestJournalGoesOnAfterLoading(t *testing.T) {
	f := small(t)
	for round := range 3 {
		j, r := load(t, f)
		if got := r.Nodes[11].Count; got != int64(3+round) {
			t.Errorf("count %d in round %d", got, round)
		}
		x := tree.NewIndex()
		x.Attach(j)
		x.Sleep(r)
		x.Remember(child(11, unix.S_IFREG, child(10, unix.S_IFDIR, nil, ""), "file"), 0)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalCutsATornTail(t *testing.T) {
	head, log := parts(t, small(t))
	var last string
	states := 0
	for n := len(log); n > 0; n-- {
		f := fileWith(t, head, log[:n])
		j, r, err := tree.LoadJournal(f)
		if err != nil {
			if n < tree.StartLen && errors.Is(err, tree.ErrJournalCorrupt) { // the start of the generation; the header is written after it
				continue
			}
			t.Fatalf("cut to %d: %v", n, err)
		}
		if s := text(t, r); s != last {
			last = s
			states++
		}
		x := tree.NewIndex()
		x.Attach(j)
		x.Remember(child(5, unix.S_IFREG, nil, "five"), 9)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		_, again := load(t, f)
		if again.Nodes[5] == nil || again.Nodes[5].Name != "five" || len(again.Nodes) != len(r.Nodes)+1 {
			t.Fatalf("cut to %d: what came after it is lost", n)
		}
		_ = f.Close()
	}
	if states < 20 {
		t.Errorf("only %d different contents", states)
	}
}

func TestJournalRefusesADamagedRecord(t *testing.T) {
	head, log := parts(t, small(t))
	begins := recordStarts(log)
	for at := range log {
		for _, flip := range []byte{0x01, 0x10, 0x80, 0xff} {
			log[at] ^= flip
			f := fileWith(t, head, log)
			_, _, err := tree.LoadJournal(f)
			wantDamage(t, err, tree.FirstStart+begins[at])
			log[at] ^= flip
			_ = f.Close()
		}
	}
	for at := range head {
		head[at] ^= 0x40
		_, _, err := tree.LoadJournal(fileWith(t, head, log))
		wantDamage(t, err, map[bool]int64{at < 7: 0, at == 7: 7, at > 7: 8}[true])
		head[at] ^= 0x40
	}
}

func wantDamage(t *testing.T, err error, off int64) {
	t.Helper()
	if !errors.Is(err, tree.ErrJournalCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("offset %d:", off)) {
		t.Errorf("want damage at %d, got %v", off, err)
	}
}

// recordStarts returns for each byte where its record begins.
func recordStarts(log []byte) []int64 {
	out := make([]int64, len(log))
	for at := 0; at < len(log); {
		n := tree.Length(log[at:])
		for i := range n {
			out[at+i] = int64(at)
		}
		at += n
	}
	return out
}

func TestNewJournalThatWasNotFinished(t *testing.T) {
	_, log := parts(t, small(t))
	for _, n := range []int{0, 3, 18, len(log)} {
		j, r := load(t, fileWith(t, nil, log[:n]))
		if len(r.Nodes) != 0 {
			t.Error("nodes from nowhere")
		}
		j.Note('i', []byte("works"))
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := tree.NewJournal(fileWith(t, nil, log)); !errors.Is(err, os.ErrExist) {
		t.Errorf("began in a file that is not empty: %v", err)
	}
}

// A write that fails ends the journal, once for those who ask and for good for those who load it.
func TestJournalThatCannotBeWritten(t *testing.T) {
	f := small(t)
	j, _ := load(t, f)
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	j.Answered(1)
	if err := j.Flush(); !errors.Is(err, tree.ErrJournalBroken) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v", err)
	}
	if err := j.Begin(5, tree.Intent{}); err != nil {
		t.Errorf("told again: %v", err)
	}
	if _, _, err := tree.LoadJournal(f); !errors.Is(err, tree.ErrJournalBroken) {
		t.Errorf("loaded a journal with a gap: %v", err)
	}
}

func TestNoJournalDoesNothing(t *testing.T) {
	var j *tree.Journal
	n := child(5, unix.S_IFREG, nil, "")
	j.Note(1, nil)
	j.Moved(n)
	j.Orphaned(n)
	j.Answered(1)
	if err := errors.Join(j.Begin(1, tree.Intent{}), j.Flush(), j.Close()); err != nil {
		t.Error(err)
	}
	x := tree.NewIndex()
	x.Attach(nil)
	x.Remember(n, 1)
	if g, gone := x.Forget(5, 1); !gone || g.Node != n {
		t.Error("not gone")
	}
}
