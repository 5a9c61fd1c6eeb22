package keeper

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run keepers and engines as processes: this binary in another role, which its first argument names.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "play-keeper":
			os.Exit(playKeeper(os.Args[2:]))
		case "play-engine":
			os.Exit(playEngine(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// act is what an engine does when it is there: the environment variable has one for each start, the last one for all others.
type act struct {
	Before    string // dies of this before it is ready: see die
	After     string // or after
	Status    int    // its exit status then
	Hang      bool   // says once that it is alive, and not again
	Late      bool   // is never ready
	Unmounted bool   // stores no mount
}

const script = "KEEPER_TEST_SCRIPT"

func playKeeper(args []string) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	orders := make(chan Order, 1)
	usr := make(chan os.Signal, 1)
	signal.Notify(usr, unix.SIGUSR2)
	go func() {
		for range usr {
			orders <- Handover
		}
	}()
	limit, _ := time.ParseDuration(os.Getenv("KEEPER_TEST_WATCHDOG"))
	own := limits{dump: 50 * time.Millisecond}
	own.start, _ = time.ParseDuration(os.Getenv("KEEPER_TEST_START"))
	own.failing, _ = time.ParseDuration(os.Getenv("KEEPER_TEST_FAILING"))
	status, err := Run(Config{
		Engine: append([]string{"play-engine"}, args...), Watchdog: limit, Signals: signals, Orders: orders, limits: own,
		Ready:   func() { say(saying{Event: "first ready"}) },
		Log:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
		pausing: pausing,
	})
	if err != nil {
		say(saying{Event: "failed", Text: err.Error()})
	}
	say(saying{Event: "keeper ends", Fds: descriptorsOpen()})
	return status
}

// pausing makes pauses short, or with KEEPER_TEST_PAUSE so long as that says once they are long.
func pausing(d time.Duration) time.Duration {
	say(saying{Event: "pause", Pause: d})
	if long, err := time.ParseDuration(os.Getenv("KEEPER_TEST_PAUSE")); err == nil && d >= time.Second {
		return long
	}
	return d / 100
}

// saying is one line on standard output, which all processes of a test share.
type saying struct {
	Event  string
	PID    int
	Keeper int
	Start  int    // which one it is, by the journal
	Inode  uint64 // of the journal
	Text   string
	Pause  time.Duration
	Fds    int
}

func say(s saying) {
	s.PID = os.Getpid()
	b, _ := json.Marshal(s)
	_, _ = os.Stdout.Write(append(b, '\n')) // one write: lines of several processes do not mix
}

func playEngine([]string) int {
	ctx := make(chan os.Signal, 4)
	signal.Notify(ctx, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	l, err := Connect("1")
	if err != nil || l == nil {
		say(saying{Event: "no link", Text: fmt.Sprint(err)})
		return 9
	}
	go l.Guard([]string{"play-keeper"}, slog.New(slog.NewTextHandler(os.Stderr, nil)), func(pid int) {
		say(saying{Event: "new keeper", Keeper: pid})
	})
	var acts []act
	_ = json.Unmarshal([]byte(os.Getenv(script)), &acts)
	journal, start, err := openJournal(l)
	if err != nil {
		say(saying{Event: "no journal", Text: err.Error()})
		return 9
	}
	a := acts[min(start, len(acts)-1)]
	if l.Files()[FuseName] == nil && !a.Unmounted { // the write end of a pipe is an error when the test has closed the other
		fuse := os.NewFile(pipeFd, "fuse")
		defer func() { _ = fuse.Close() }()
		if err := l.Store(FuseName, fuse); err != nil {
			say(saying{Event: "not stored", Text: err.Error()})
		}
	}
	if ended, status := die(l, a.Before, a.Status); ended {
		return status
	}
	if a.Late {
		say(saying{Event: "late", Start: start})
		say(saying{Event: "signal", Text: (<-ctx).String()})
		_ = l.Stopping(5)
		return 5
	}
	if err := l.Ready("serving"); err != nil {
		say(saying{Event: "not ready", Text: err.Error()})
	}
	var st unix.Stat_t
	_ = unix.Fstat(int(journal.Fd()), &st)
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", journal.Fd()))
	_ = l.Alive()
	say(saying{Event: "ready", Start: start, Inode: st.Ino, Text: string(text), Keeper: l.Keeper(), Fds: descriptorsOpen()})
	if ended, status := die(l, a.After, a.Status); ended {
		return status
	}
	var tick <-chan time.Time
	if !a.Hang {
		tick = time.Tick(20 * time.Millisecond)
	}
	for {
		select {
		case s := <-ctx:
			say(saying{Event: "signal", Text: s.String()})
			if s == unix.SIGTERM {
				_ = l.Stopping(5)
				return 5
			}
		case o := <-l.Orders():
			say(saying{Event: "order", Text: string(o)})
		case <-tick:
			_ = l.Alive()
		}
	}
}

// pipeFd is where the keeper of a test inherits what stands for the kernel's end of the mount.
const pipeFd = 60

// openJournal returns the journal, and how many engines have written to it.
func openJournal(l *Link) (*os.File, int, error) {
	f := l.Files()["journal"]
	if f == nil {
		fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, 0, err
		}
		f = os.NewFile(uintptr(fd), "journal")
		if err := l.Store("journal", f); err != nil {
			return nil, 0, err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, 0, err
	}
	_, err := f.WriteAt([]byte("x"), st.Size)
	return f, int(st.Size), err
}

func die(l *Link, how string, status int) (bool, int) {
	switch how {
	case "panic":
		panic("as the test wants it")
	case "exit": // without a word
		return true, status
	case "stop":
		_ = l.Stopping(status)
		return true, status
	}
	return false, 0
}

func descriptorsOpen() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
