//go:build race

package testfs

// RaceEnabled says that this test binary has the race detector: then the program gets it as well.
const RaceEnabled = true
