//go:build !race

package testfs

// raceEnabled says that this test binary has the race detector: then the program gets it as well.
const raceEnabled = false
