package fusebridge

import (
	"encoding/binary"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
)

const (
	// maxWrite is the largest READ and WRITE, in bytes: the kernel's limit of 256 pages.
	maxWrite = 1 << 20
	// maxBackground is how many readahead and writeback requests the kernel keeps under way.
	maxBackground = 128

	// idleReaders is how many goroutines wait in read(2) at most. One is too few: the next request would wait for a thread to
	// wake up; each more costs a thread.
	idleReaders = 4

	headerSize = 40 // of struct fuse_in_header
	replySize  = 16 // of struct fuse_out_header

	opInit            = 26
	opCopyFileRange   = 47
	opCopyFileRange64 = 53
)

// transport moves requests from /dev/fuse to handlers, and replies back. Each request runs on the goroutine that read it;
// when the last idle reader gets one, another reader is started, so that a request that waits for the origin holds up
// nobody.
type transport struct {
	fd      int
	closing sync.RWMutex // the closer takes it; so does, shared, who writes without a request in hand
	closed  bool         // guarded by closing
	server  *fuse.ProtocolServer
	counts  *counts
	trace   *tracer       // nil unless debug logging is on
	journal *tree.Journal // nil: the mount ends with this process
	log     *slog.Logger
	buffers chan *buffer
	idle    atomic.Int32
	flying  inflight
	running sync.WaitGroup
	ready   chan struct{} // closed when INIT is answered
	resends atomic.Bool   // the kernel can, says INIT
	once    sync.Once
	alone   sync.Once            // says that the journal cannot be written
	leaving atomic.Bool          // see release
	resent  func(request uint64) // is told of each request that comes again, first
	done    chan struct{}        // closed when no request is being served and none will be
}

func newTransport(fd int, fs fuse.RawFileSystem, acls bool, journal *tree.Journal, log *slog.Logger, trace *tracer) *transport {
	t := &transport{
		fd: fd, counts: new(counts), trace: trace, journal: journal, log: log, buffers: make(chan *buffer, keptBuffers),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	capabilities := uint64(fuse.CAP_NO_OPENDIR_SUPPORT | fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_READDIRPLUS_AUTO |
		fuse.CAP_NO_EXPORT_SUPPORT | fuse.CAP_HAS_RESEND)
	if acls { // a default ACL takes the place of the umask, which must come unapplied then
		capabilities |= fuse.CAP_POSIX_ACL | fuse.CAP_DONT_MASK | fuse.CAP_SETXATTR_EXT
	}
	t.server = fuse.NewProtocolServer(fs, &fuse.MountOptions{
		MaxWrite: maxWrite, MaxBackground: maxBackground, EnableSymlinkCaching: true, ExplicitDataCacheControl: true, IDMappedMount: true,
		ExtraCapabilities: capabilities,
		Logger:            slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		PanicHandler: func(reason any) fuse.Status {
			log.Error("handler panicked", slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
			return fuse.EIO
		},
	})
	return t
}

// start begins to serve.
func (t *transport) start() {
	for range 2 {
		t.spawn(nil)
	}
	go func() {
		t.running.Wait()
		t.close()
		for {
			select {
			case b := <-t.buffers:
				b.free()
			default:
				close(t.done)
				return
			}
		}
	}()
}

// close closes the descriptor. Requests are over, but a notification may come later: the number may be another file's then.
func (t *transport) close() {
	t.closing.Lock()
	defer t.closing.Unlock()
	t.closed = true
	_ = unix.Close(t.fd)
}

// notify writes a message that answers no request.
func (t *transport) notify(msg []byte) error {
	t.closing.RLock()
	defer t.closing.RUnlock()
	if t.closed {
		return unix.ENODEV
	}
	_, err := unix.Write(t.fd, msg)
	return err
}

// spawn starts a reader, with memory to read into if there is some to spare.
func (t *transport) spawn(in []byte) {
	t.idle.Add(1)
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		b, err := t.buffer(in)
		if err != nil {
			t.log.Error("no memory for a reader", slog.Any("error", err))
			t.idle.Add(-1)
			return
		}
		t.serve(b)
		t.keepBuffer(b)
	}()
}

// serve reads and answers until the mount is gone or enough others wait.
func (t *transport) serve(b *buffer) {
	r := t.flying.enter()
	defer t.flying.leave(r)
	for {
		if err := b.present(); err != nil {
			t.log.Error("no memory for a reader", slog.Any("error", err))
			t.idle.Add(-1)
			return
		}
		n, err := unix.Read(t.fd, b.in)
		switch err { // a bare errno
		case nil:
		case unix.ENOENT, unix.EINTR, unix.EAGAIN: // ENOENT: the request was interrupted before we got it
			if t.leaving.Load() {
				t.idle.Add(-1)
				return
			}
			continue
		case unix.ENODEV: // unmounted
			t.idle.Add(-1)
			return
		default:
			t.log.Error("read /dev/fuse", slog.Any("error", err))
			t.idle.Add(-1)
			return
		}
		request := b.in[:n]
		if t.idle.Add(-1) == 0 && !t.leaving.Load() {
			var spare []byte
			request, spare = b.part(n)
			t.spawn(spare)
		}
		t.handle(r, request, b.out)
		if t.idle.Add(1) > idleReaders || t.leaving.Load() {
			t.idle.Add(-1)
			return
		}
	}
}

// handle answers one request.
func (t *transport) handle(r *reading, in, out []byte) {
	if len(in) < headerSize {
		return
	}
	op := binary.NativeEndian.Uint32(in[4:])
	r.begin(op)
	defer r.end()
	if op == opCopyFileRange64 { // the same request; its answer, a 64-bit count, is the 32-bit one with its padding
		binary.NativeEndian.PutUint32(in[4:], opCopyFileRange)
	}
	if unique := binary.NativeEndian.Uint64(in[8:]); unique&resentBit != 0 {
		t.resent(unique &^ resentBit)
	}
	var began time.Time
	var event traceEvent
	if t.trace != nil {
		began, event = time.Now(), t.trace.begin(op, in)
	}
	n, _ := t.server.HandleRequest([][]byte{in}, [][]byte{out})
	var errno int32
	if n >= replySize {
		errno = -int32(binary.NativeEndian.Uint32(out[4:]))
	}
	t.counts.count(op, errno)
	if t.trace != nil {
		t.trace.end(event, errno, out[:n], time.Since(began))
	}
	if op == opInit { // before the answer, which sees to it that the journal has it
		t.resends.Store(resends(in))
		t.journal.Note(actors.NoteInit, in)
	}
	if n > 0 {
		t.answer(op, in, out[:n])
	}
	if op == opInit {
		t.once.Do(func() { close(t.ready) })
	}
}

// answer sends a reply, when the journal has what it tells the kernel.
func (t *transport) answer(op uint32, in, out []byte) {
	if err := t.journal.Flush(); err != nil {
		t.alone.Do(func() { t.log.Error("the mount will not outlive this process", slog.Any("error", err)) })
	}
	if _, err := unix.Write(t.fd, out); err != nil && err != unix.ENOENT && err != unix.ENODEV { // bare errnos; ENOENT: it was interrupted
		t.log.Error("write /dev/fuse", slog.Any("error", err), slog.Uint64("op", uint64(op)))
	}
	if op < 64 && recorded&(1<<op) != 0 {
		t.journal.Answered(binary.NativeEndian.Uint64(in[8:]) &^ resentBit)
	}
}
