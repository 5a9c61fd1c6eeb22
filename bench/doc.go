// Bench compares antares-actor with its peers: the same workloads, on the same tree, in one run.
//
//	go run ./bench                  # a large Go module, five rounds, layers on ext4 and on tmpfs; as root
//	go run ./bench -quick           # a small made-up tree, one round: does the harness work?
//	go run ./bench -help
//	go run ./bench cold             # cold mounts of a server, at several round trip times: bench/COLD.md
//
// # Method
//
// A corpus (a pinned Go module, a directory, or a synthetic tree) becomes a git repository, and its checkout the lower
// layer. Everything that a contender reads or writes lies on the ground under test: an ext4 in a loop device that the
// harness makes, or a tmpfs. A contender shows the corpus, writable, at a path; all are mounted before the first round and
// stay so, since a warm kernel cache is what the warm workloads are about.
//
// In each round each workload runs on all contenders in turn (A B C A B C ...), so that a slow minute of the machine falls on
// all of them. A workload runs in a process of its own, never in one that serves files; it warms up where it says so,
// times only its hot loop, whose system calls it makes without a detour, and reports a check: a text that depends on what
// it saw and did. A contender whose check differs from the first one's failed, whatever its time.
//
// The report has the median over the rounds, in microseconds an operation, and its ratio to kernel overlayfs.
//
// # What is compared
//
//   - plain: a copy of the tree on the ground itself, the floor;
//   - overlayfs: the kernel's, over the lower layer;
//   - fuse-overlayfs: left out, and named as left out, where it is not installed;
//   - antares: this checkout, built by the harness, with the git repository as origin;
//   - gofuse-memory, gofuse-loopback: bare go-fuse servers, for the cold lookups only. The first answers from memory and so
//     is the price of the protocol itself; the second asks the lower layer each time;
//   - whatever -extra names.
//
// # Cold mounts
//
// `bench cold` is about the way to the origin. It generates repositories (git fast-import), serves them with monoserver from a
// process of its own, with the objects in memory (origin.go) and a round trip time before each listener (delay.go), and
// counts the requests (ledger.go). Each case (cold_cases.go) mounts anew, with an empty cache, and takes turns with a client
// that only gets the same objects (floor.go), or with curl. A run in which the server got fewer requests than there are
// objects was not cold, and fails. The report (bench/COLD.md) has medians, ratios, what was asked of them, and the verdicts.
//
// # Cleaning up
//
// The harness runs itself again in a mount namespace of its own: whichever way it ends, its mounts end with it, the
// loop device is released by the last unmount, and the outer process removes the scratch directory. Servers die with
// the harness (PDEATHSIG).
package main
