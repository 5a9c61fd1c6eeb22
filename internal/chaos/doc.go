// Command chaos shows that a mount outlives its engine: it runs many programs in one mount, kills the engine again and again
// while they work, and looks for anything that any of them could have noticed.
//
// # Model
//
//	run        the whole: stage, programs, killer, checks, report
//	stage      the repository, the mount over it, the directories; or a plain directory with the same files (-baseline)
//	program    a process of this binary in a role: the writers (package writer) or the others (package load)
//	killer     picks its moments from a seeded source, finds the engine, and kills or stops it, its keeper, or both
//	watchdog   ends a run in which a program gets nowhere, and says what everybody was waiting for
//
// # What is checked
//
// Each program checks its own work, errno by errno and byte by byte, and ends with status 0 only if all of it was right. Then
// the run compares the tree in the mount with the one after a remount, has fsck look at upper, and compares memory and
// descriptors of the engine and the keeper after five restarts with those at the end.
//
// # Modes
//
// kill: SIGKILL to the engine. stop: SIGSTOP for five seconds, then SIGCONT. keeper: SIGKILL to the keeper. In these no program
// may notice anything. both: SIGKILL to both at once. Then the mount is gone, as after a crash; each program must get ENOTCONN or
// ECONNABORTED and nothing else, and with the next mount of the same upper everything that had been acknowledged must be there.
package main
