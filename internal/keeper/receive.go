package keeper

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// receive takes all messages that are here.
func (k *keeper) receive(e *engine) {
	for e.sock >= 0 {
		n, oobn, _, _, err := unix.Recvmsg(e.sock, k.buf[:], k.oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR: // a bare errno
		case err == unix.EAGAIN:
			return
		case err != nil || n == 0: // it has ended, or will soon
			e.closeSocket()
		default:
			k.take(e, parse(k.buf[:n]), descriptors(k.oob[:oobn]))
		}
	}
}

// take does what a message of an engine says.
func (k *keeper) take(e *engine, m message, fds []int) {
	if m.store && len(fds) == 1 {
		if err := k.files.put(m.name, fds[0]); err != nil {
			k.cfg.Log.Error("descriptor not stored", slog.Any("error", err))
		}
	} else {
		closeAll(fds)
	}
	if m.remove {
		k.files.remove(m.name)
	}
	if m.hello {
		e.introduced, e.session = true, m.session
		_, _ = unix.Write(k.wake[1], []byte{0}) // there may be signals for it
	}
	e.standby = e.standby || m.standby
	if m.ready && e.ready.IsZero() {
		e.ready = time.Now()
		e.heard, k.failing = e.ready, time.Time{}
		k.next.report(e, k.cfg.Log)
		if !k.was && k.cfg.Ready != nil {
			k.cfg.Ready()
		}
		k.was = true
	}
	if m.alive {
		e.heard = time.Now()
	}
	e.stopping = e.stopping || m.stopping
	if m.exits {
		e.exits, e.status = true, m.status
	}
}

// descriptors returns those that came with a message.
func descriptors(oob []byte) (all []int) {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
