package main

// workload is one thing to time. Its run prepares and warms up, times the hot loop with probe.time, and checks its work.
type workload struct {
	name  string
	about string // what is done; one operation is what comes first
	run   func(*probe) (tally, error)
}

// workloads are all that the harness knows, those that only read first.
func workloads() []workload {
	return []workload{
		{"stat-walk", "stat of each file and directory, warm", statWalk},
		{"dir-walk", "listing of each directory, warm", dirWalk},
		{"re-read", "open, read to the end and close of each file, warm", reRead},
		{"open-stat", "open, fstat, close of the same 500 files, over and over", openStat},
		{"negative", "stat of a name that is not there, the same ones over and over", negative},
		{"cold-stat", "lookup of each file and directory after the kernel dropped its entries and inodes", coldStat},
		{"cold-walk", "listing and stat of everything, after the same", coldWalk},
		{"seq-read", "1 MiB of a sequential read, in page cache", seqRead},
		{"seq-read-uncached", "1 MiB of a sequential read after fadvise(DONTNEED)", seqReadUncached},
		{"rand-read", "read of 4 KiB at random, in page cache", randRead},
		{"create-unlink", "create, write of 1 KiB, close; then unlink", createUnlink},
		{"mkdir-rename", "mkdir, rename", mkdirRename},
		{"seq-write", "1 MiB of a sequential write, fsync included", seqWrite},
		{"rand-write", "write of 4 KiB at random into a file", randWrite},
		{"fsync-append", "append of 4 KiB and fsync", fsyncAppend},
		{"copyup-small", "open, append of a byte and close: the first write to a small lower file, read before (plain: just an append)", copyUpSmall},
		{"copyup-large", "the same for one large file of 32 MiB", copyUpLarge},
		{"go-build", "go build of a program in the tree, standard library compiled before", goBuild},
	}
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}

func findWorkload(name string) (workload, bool) {
	for _, w := range workloads() {
		if w.name == name {
			return w, true
		}
	}
	return workload{}, false
}
