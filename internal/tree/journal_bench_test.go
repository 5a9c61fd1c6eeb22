package tree_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// grown returns an index with a journal in which the kernel was given this many files, and one of them.
func grown(b *testing.B, files int) (*tree.Index, *tree.Journal, *tree.Node) {
	b.Helper()
	j, err := tree.NewJournal(memfd(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = j.Close() })
	x := tree.NewIndex()
	x.Attach(j)
	dir := child(tree.LowerIno("dir"), unix.S_IFDIR, nil, "dir")
	n := dir
	for i := range files {
		name := fmt.Sprintf("source_%d.go", i)
		n = child(tree.LowerIno(name), unix.S_IFREG, dir, name)
		x.Remember(n, uint64(i)+1)
	}
	if err := j.Flush(); err != nil {
		b.Fatal(err)
	}
	return x, j, n
}

// A million nodes, of which half were known when the journal was compacted last. Processor time is what counts if the
// machine has other things to do.
func BenchmarkLoadJournal(b *testing.B) {
	_, j, _ := grown(b, 1_000_000)
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	used := processorTime(b)
	for b.Loop() {
		load(b, tree.FileOf(j))
	}
	b.ReportMetric((processorTime(b)-used)/float64(b.N), "cpu-ms/op")
	b.StopTimer()
	without := heap()
	_, r := load(b, tree.FileOf(j))
	b.ReportMetric(float64(heap()-without)/float64(len(r.Nodes)), "B/node")
	runtime.KeepAlive(r)
}

func processorTime(b *testing.B) (ms float64) {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkRemember(b *testing.B) {
	x := tree.NewIndex()
	n := child(5, unix.S_IFREG, nil, "five")
	x.Remember(n, 0)
	b.Run("without a journal", func(b *testing.B) {
		for b.Loop() {
			x.Remember(n, 7)
			x.Forget(5, 1)
		}
	})
	b.Run("with one", func(b *testing.B) {
		x, j, n := grown(b, 1)
		for unique := uint64(2); b.Loop(); unique++ {
			x.Remember(n, unique)
			x.Forget(n.Ino, 1)
		}
		check(b, j)
	})
	b.Run("with one, flushed", func(b *testing.B) {
		x, j, n := grown(b, 1)
		for unique := uint64(2); b.Loop(); unique++ {
			x.Remember(n, unique)
			check(b, j)
			x.Forget(n.Ino, 1)
		}
	})
}

func check(b *testing.B, j *tree.Journal) {
	if err := j.Flush(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFlushOfNothing(b *testing.B) {
	_, j, _ := grown(b, 1)
	for b.Loop() {
		check(b, j)
	}
}

// How long requests wait for the journal while it is compacted, as the 99.9th part and the longest, and how long that takes.
func BenchmarkCompaction(b *testing.B) {
	x, j, n := grown(b, 1_000_000)
	tree.AwaitCompaction(j)
	var waits []time.Duration
	for b.Loop() {
		done := make(chan struct{})
		tree.Compact(j)
		var wg sync.WaitGroup
		wg.Go(func() { tree.AwaitCompaction(j); close(done) })
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			began := time.Now()
			x.Remember(n, 1)
			x.Forget(n.Ino, 1)
			check(b, j)
			waits = append(waits, time.Since(began))
		}
		wg.Wait()
	}
	b.ReportMetric(percentile(waits, 0.999), "ms-p999")
	b.ReportMetric(percentile(waits, 1), "ms-max")
	b.ReportMetric(float64(len(waits))/float64(b.N), "requests")
}

func percentile(d []time.Duration, part float64) float64 {
	sorted := slices.Sorted(slices.Values(d))
	return float64(sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]) / 1e6
}
