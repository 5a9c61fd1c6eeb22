package keeper

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Guard starts another keeper whenever the one that there is dies, for as long as the process lives: this program with the given
// arguments, which calls Run. changed is called with each new one's process.
func (l *Link) Guard(args []string, log *slog.Logger, changed func(keeper int)) {
	if l.systemd {
		return
	}
	var p pauses
	for began := time.Now(); ; began = time.Now() {
		<-l.Lost()
		lived := time.Since(began)
		time.Sleep(p.after(life{total: lived, ready: lived}))
		for !l.replace(args, log, changed) {
			time.Sleep(p.after(life{}))
		}
	}
}

// replace starts a keeper and tells whether it has adopted us: it takes signals then.
func (l *Link) replace(args []string, log *slog.Logger, changed func(keeper int)) bool {
	pid, err := l.regain(args)
	if err != nil {
		log.Error("no keeper", slog.Any("error", err))
		return false
	}
	l.mu.Lock()
	taken, lost := l.taken, l.lost
	l.mu.Unlock()
	select {
	case <-taken:
	case <-lost:
		log.Error("keeper died before it had adopted its engine", slog.Int("pid", pid))
		return false
	}
	log.Warn("keeper died, another one takes over", slog.Int("pid", pid))
	changed(pid)
	return true
}

// regain starts a keeper that adopts this process, with all that is stored.
func (l *Link) regain(args []string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socketpair: %w", err)
	}
	defer func() { _ = unix.Close(pair[1]) }()
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		_ = unix.Close(pair[0])
		return 0, fmt.Errorf("pidfd: %w", err)
	}
	defer func() { _ = unix.Close(self) }()
	argv := append([]string{program()}, args...)
	pid, pidfd, err := spawn(argv, &l.held, []int{pair[1], self},
		fmt.Sprintf("%s=%d:%d:%d", envAdopt, after(&l.held, 0), after(&l.held, 1), os.Getpid()))
	if err != nil {
		_ = unix.Close(pair[0])
		return 0, err
	}
	if pidfd >= 0 {
		_ = unix.Close(pidfd)
	}
	go func() { // it is our child
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR { // a bare errno
				return
			}
		}
	}()
	_ = l.conn.Close()
	l.lost = make(chan struct{})
	if err := l.introduce(pair[0], pid); err != nil {
		_ = unix.Kill(pid, unix.SIGKILL) // or there would be two of them
		return 0, err
	}
	return pid, nil
}

// introduce tells a new keeper what the one before knew.
func (l *Link) introduce(fd, keeper int) error {
	if err := l.attach(fd, keeper); err != nil {
		close(l.lost)
		return err
	}
	if err := l.send(l.hello(), -1); err != nil || !l.ready {
		return err
	}
	return l.sayReady()
}

// hello says that this process can take signals.
func (l *Link) hello() string {
	return "MAINPID=" + strconv.Itoa(os.Getpid()) + "\nANTARES_SESSION=" + l.session
}
