package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Link is an engine's connection to what supervises it: a keeper, or systemd.
type Link struct {
	session  string
	files    map[string]*os.File
	watchdog time.Duration
	systemd  bool
	standby  bool // another engine serves
	orders   chan Order

	mu     sync.Mutex // held to read and change what follows
	conn   *net.UnixConn
	keeper int           // its process
	taken  chan struct{} // closed when it has adopted us
	lost   chan struct{} // closed when it is dead
	held   stored        // what a new keeper would be given
	status string        // of Ready
	ready  bool
}

// Connect returns the link to this process's supervisor, nil if it has none. What says so is taken out of the environment.
// session says which sessions it can take over: those that say the same.
func Connect(session string) (*Link, error) {
	env := takeEnvironment()
	if env[envSocket] == "" && env["NOTIFY_SOCKET"] == "" {
		return nil, nil
	}
	passed, err := received(env)
	if err != nil {
		return nil, err
	}
	l := &Link{session: session, files: make(map[string]*os.File), watchdog: watchdogOf(env), orders: make(chan Order, 1), lost: make(chan struct{})}
	for i, name := range passed.names {
		l.files[name] = os.NewFile(uintptr(passed.fds[i]), name)
		if err := l.hold(name, passed.fds[i]); err != nil {
			return nil, err
		}
	}
	if env[envSocket] == "" {
		l.systemd = true
		l.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: env["NOTIFY_SOCKET"], Net: "unixgram"})
		if err != nil {
			return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
		}
		return l, nil
	}
	n, err := numbers(env[envSocket], 1)
	if err != nil {
		return nil, err
	}
	l.standby = env[envStandby] != ""
	if err := l.attach(n[0], 0); err != nil {
		return nil, fmt.Errorf("%s: %w", envSocket, err)
	}
	return l, l.send(l.hello(), -1)
}

// attach uses our end of a socket pair, which it takes over. A keeper that is not given made the pair.
func (l *Link) attach(fd, keeper int) error {
	f := os.NewFile(uintptr(fd), "keeper")
	defer func() { _ = f.Close() }()
	if keeper == 0 {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return err
		}
		keeper = int(cred.Pid)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return fmt.Errorf("%w: not a unix socket", errEnvironment)
	}
	l.conn, l.keeper, l.taken = conn, keeper, make(chan struct{})
	go l.listen(conn, l.taken, l.lost)
	return nil
}

// listen takes the keeper's orders until it is dead. One that adopts says once that it is ready.
func (l *Link) listen(conn *net.UnixConn, taken, lost chan<- struct{}) {
	defer close(lost)
	b := make([]byte, 512)
	for {
		n, _, _, _, err := conn.ReadMsgUnix(b, nil)
		if err != nil {
			return
		}
		m := parse(b[:n])
		if m.ready && taken != nil {
			close(taken)
			taken = nil
		}
		if m.order != "" {
			select {
			case l.orders <- m.order:
			default: // it has one already
			}
		}
	}
}

// Files are what an earlier engine stored, by name. They are the caller's.
func (l *Link) Files() map[string]*os.File { return l.files }

// StandBy returns when this engine is to take over from the one that serves; at once if none does. since is when that one was
// asked to finish, or the zero time. ErrNotNeeded if it went on after all.
func (l *Link) StandBy() (since time.Time, err error) {
	if !l.standby {
		return since, nil
	}
	l.mu.Lock()
	err = l.send("ANTARES_STANDBY=1", -1)
	lost := l.lost
	l.mu.Unlock()
	if err != nil {
		return since, err
	}
	for {
		select {
		case o := <-l.orders:
			if asked, is := strings.CutPrefix(string(o), goOrder); is {
				ns, err := strconv.ParseInt(asked, 10, 64)
				return time.Unix(0, ns), err
			}
		case <-lost:
			return since, ErrNotNeeded
		}
	}
}

// ErrNotNeeded is the end of an engine that stood by in vain.
var ErrNotNeeded = errors.New("not needed")

// Watchdog is how often at least systemd wants to hear Alive; 0: it does not say.
func (l *Link) Watchdog() time.Duration { return l.watchdog }

// Keeper is the keeper's process; 0 for systemd.
func (l *Link) Keeper() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keeper
}

// Lost is closed when the keeper is dead. Another one, which Guard starts, has another channel.
func (l *Link) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Orders are what the keeper asks.
func (l *Link) Orders() <-chan Order { return l.orders }

// Store has the supervisor hold a copy of a descriptor for the next engine, in the place of one of the same name.
func (l *Link) Store(name string, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	var refused error
	err = raw.Control(func(fd uintptr) { refused = l.store(name, int(fd)) })
	if err := errors.Join(err, refused); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return nil
}

func (l *Link) store(name string, fd int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	again := l.held.get(name) >= 0
	if err := l.hold(name, fd); err != nil {
		return err
	}
	if l.systemd && again { // which would hold both
		if err := l.send("FDSTOREREMOVE=1\nFDNAME="+name, -1); err != nil {
			return err
		}
	}
	return l.send("FDSTORE=1\nFDNAME="+name, fd)
}

// hold keeps a copy for a keeper to come.
func (l *Link) hold(name string, fd int) error {
	held, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstPassed)
	if err != nil {
		return err
	}
	return l.held.put(name, held)
}

// Ready says that the mount can be used.
func (l *Link) Ready(status string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready, l.status = true, strings.ReplaceAll(status, "\n", " ")
	return l.sayReady()
}

func (l *Link) sayReady() error { return l.send("READY=1\nSTATUS="+l.status, -1) }

// Alive says that the engine makes progress.
func (l *Link) Alive() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.send("WATCHDOG=1", -1)
}

// Stopping says that this process is about to end on purpose, with that exit status.
func (l *Link) Stopping(status int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.send("STOPPING=1\nANTARES_EXIT="+strconv.Itoa(status), -1)
}

// send sends a message, with a descriptor unless that is negative. A keeper that is dead misses nothing: the next one is told.
func (l *Link) send(text string, fd int) error {
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	raw, err := l.conn.SyscallConn() // net would not send descriptors over a connected unixgram socket
	var sent error
	if err == nil {
		err = raw.Write(func(socket uintptr) bool {
			_, sent = unix.SendmsgN(int(socket), []byte(text), oob, nil, unix.MSG_NOSIGNAL)
			return !errors.Is(sent, unix.EAGAIN)
		})
	}
	err = errors.Join(err, sent)
	if !l.systemd && (errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell supervisor: %w", err)
	}
	return nil
}
