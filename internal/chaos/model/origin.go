package model

import (
	"fmt"
	"math/rand/v2"
)

// OriginTime is when the commit was made, in seconds.
const OriginTime = 1_600_000_000

// Origin returns what the repository has for a writer: so many trees, each good for a while, in two directories of the root.
func Origin(seed uint64, writer, trees int) *Node {
	r := rand.New(rand.NewPCG(seed, uint64(writer)))
	root := NewRoot()
	root.Shared = true
	for _, side := range sides(writer) {
		Place{root, side}.Add(NewDir(0o755))
	}
	for i := range trees {
		fill(r, Tree(root, writer, i).Add(NewDir(0o755)), 3)
	}
	return root
}

// sides are the two directories of a writer: two, since each directory of the root has an owner of its own in the program.
func sides(writer int) [2]string {
	return [2]string{fmt.Sprintf("w%da", writer), fmt.Sprintf("w%db", writer)}
}

// Tree returns the place of a tree.
func Tree(root *Node, writer, i int) Place {
	return Place{root.Entries[sides(writer)[i%2]], fmt.Sprintf("t%d", i)}
}

// Own returns the place of a writer's own directory.
func Own(root *Node, writer int) Place { return Place{root.Entries[sides(writer)[0]], "own"} }

// fill gives a directory files, symbolic links and directories, all those that git can have.
func fill(r *rand.Rand, dir *Node, depth int) {
	for i := range 2 + r.IntN(4) {
		n := NewFile(0o644, Bytes(r, r.IntN(3000)))
		switch r.IntN(12) {
		case 0:
			n.Data = nil
		case 1:
			n.Data = Bytes(r, 100_000+r.IntN(100_000))
		case 2, 3:
			n.Mode = 0o755
		}
		n.Mtime = OriginTime
		Place{dir, fmt.Sprintf("n%02d", i*3)}.Add(n)
	}
	if r.IntN(2) == 0 {
		l := NewLink(fmt.Sprintf("n%02d", r.IntN(10)))
		l.Mtime = OriginTime
		Place{dir, "n20"}.Add(l)
	}
	for i := range r.IntN(depth + 1) {
		fill(r, Place{dir, fmt.Sprintf("n%02d", 21+i)}.Add(NewDir(0o755)), depth-1)
	}
}

// Bytes returns bytes that no other place has.
func Bytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		word := r.Uint64()
		for j := i; j < min(i+8, n); j++ {
			b[j] = byte(word >> ((j - i) * 8))
		}
	}
	return b
}
