// Package load is the programs of the run beside the writers: a database, two builds, fsx, and a process that holds on to what
// has lost its name.
//
// Each is a role of a process: a function that sets up what it needs below the root, says that it is ready, works until the
// worker is stopped, and returns an error for whatever was not right. If the mount may go away, each notices that its failure
// comes from there (statfs says so), waits for the next mount, and checks what it was promised.
package load
