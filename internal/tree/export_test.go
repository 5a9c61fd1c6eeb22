package tree

import "os"

// FirstStart is where the first generation of a journal begins.
const FirstStart = firstStart

// Lengths of what is in front of a record's payload, of a jump, and of the record that begins a journal.
const (
	Ahead    = headLen + 1
	JumpLen  = Ahead + 8 + sumLen
	StartLen = Ahead + 8 + 1 + sumLen
)

// Length returns how long the record at the beginning of b is.
func Length(b []byte) int {
	n, _ := length(b[:headLen])
	return headLen + n + sumLen
}

// FileOf returns a journal's file.
func FileOf(j *Journal) *os.File { return j.f }

// CompactFrom has a journal be compacted at this size already.
func CompactFrom(j *Journal, size int64) {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.least, j.limit = size, size
}

// Compact starts a compaction, unless there is one.
func Compact(j *Journal) {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.limit = 0
	j.compactIfLarge()
}

// AwaitCompaction returns when no compaction is going on.
func AwaitCompaction(j *Journal) { j.compactor.Wait() }

// Trace has a journal show each change of its file before it makes it: a write, or with a nil b a hole.
func Trace(j *Journal, f func(b []byte, off, n int64) error) { j.trace = f }

// Closing tells whether Close has told the compactor to give up.
func Closing(j *Journal) bool { return j.closing.Load() }

// Lookups returns how often the kernel was given a node.
func Lookups(n *Node) int64 { return n.lookups.Load() }

// CountedRequests is of how many requests it is remembered what they counted.
const CountedRequests = countedRequests

// Record returns a record with this payload.
func Record(kind byte, payload []byte) []byte { return seal(append(open(nil, kind), payload...), 0) }
