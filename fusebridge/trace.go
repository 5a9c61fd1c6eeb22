package fusebridge

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
)

// tracer logs each request, so that a wrong errno is found in a minute: which operation, on which path, who owns it, which
// layer answered, what, and how long it took. It exists only when debug logging is on.
type tracer struct {
	fs  *actors.FS
	log *slog.Logger
}

// traceEvent is a request while it is being served.
type traceEvent struct {
	op    operation
	path  string
	owner uint32
	layer string
	pid   uint32
}

func newTracer(fs *actors.FS, log *slog.Logger) *tracer {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	return &tracer{fs: fs, log: log}
}

// begin reads what must be read before the request runs: a path may be gone afterwards, request memory is.
func (t *tracer) begin(op uint32, in []byte) traceEvent {
	e := traceEvent{op: operationOf(op), pid: binary.NativeEndian.Uint32(in[32:])}
	if node := binary.NativeEndian.Uint64(in[16:]); node != 0 {
		e.path, e.owner, e.layer = t.fs.Path(node)
	}
	if e.op.names >= 0 && len(in) > headerSize+e.op.names {
		name, _, _ := bytes.Cut(in[headerSize+e.op.names:], []byte{0})
		e.path = path.Join(e.path, string(name))
	}
	return e
}

func (t *tracer) end(e traceEvent, errno int32, out []byte, took time.Duration) {
	if e.op.entry && errno == 0 && len(out) >= replySize+8 {
		if node := binary.NativeEndian.Uint64(out[replySize:]); node != 0 {
			_, e.owner, e.layer = t.fs.Path(node)
		} else {
			e.layer = "none"
		}
	}
	result := "OK"
	if errno != 0 {
		result = unix.ErrnoName(unix.Errno(errno))
	}
	t.log.Debug("request", slog.String("op", e.op.name), slog.String("path", e.path),
		slog.String("owner", fmt.Sprintf("region/%d", e.owner)), slog.String("layer", e.layer),
		slog.String("errno", result), slog.Duration("took", took), slog.Uint64("pid", uint64(e.pid)))
}
