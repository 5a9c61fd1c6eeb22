package actors

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// endSignals are those that a waiting request gives way to, as a bit mask (bit n-1 is signal n). A fatal one shows as
// SIGKILL in the thread's own set, whatever it was: the kernel turns it into a group exit.
const endSignals = 1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGTERM-1) |
	1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGQUIT-1)

// wantsOut tells whether the thread has one of endSignals pending and not blocked. A thread that has gone wants out.
func wantsOut(tid uint32) bool {
	if tid == 0 {
		return true // not a thread's request: whoever cancels it means it
	}
	f, err := os.Open("/proc/" + strconv.FormatUint(uint64(tid), 10) + "/status")
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	var pending, blocked uint64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		bits, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			continue
		}
		switch key {
		case "SigPnd", "ShdPnd":
			pending |= bits
		case "SigBlk":
			blocked = bits
		}
	}
	return pending&^blocked&endSignals != 0
}
