package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Mount is what is controlled: an *actors.Mount.
type Mount interface {
	Mountpoint() string
	Commit() object.ID
	Stats() actors.Stats
	Changelist() (actors.Changelist, []actors.PathChange)
	Switch(ctx context.Context, rev string) (actors.Switched, error)
	SetChangelist(ctx context.Context, cl actors.Changelist) (actors.Switched, error)
	ClearChangelist(ctx context.Context) (actors.Switched, error)
	Warm(ctx context.Context, patterns []string, progress func(actors.WarmProgress)) error
}

// Server answers for one mount.
type Server struct {
	mount Mount
	log   *slog.Logger
	http  *http.Server
	done  chan struct{}
}

// maxBody is the longest request in bytes.
const maxBody = 1 << 20

// closeTime is how long answers under way may hold up Close.
const closeTime = time.Second

// Listen serves the mount on a new socket at path, in the place of one that a process left which was killed. Close ends it and
// removes the socket.
func Listen(path string, m Mount, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("unix", path)
	if errors.Is(err, unix.EADDRINUSE) && deserted(path) {
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control: %w", err), l.Close())
	}
	s := &Server{mount: m, log: log, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/mount", s.status)
	mux.HandleFunc("POST /v1/mount/switch", s.switchTo)
	mux.HandleFunc("PUT /v1/mount/changelist", s.setChangelist)
	mux.HandleFunc("DELETE /v1/mount/changelist", s.clearChangelist)
	mux.HandleFunc("POST /v1/mount/warm", s.warm)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(knownPeers{l.(*net.UnixListener), log}) // ends by Close
	}()
	return s, nil
}

// deserted removes a socket at which nobody listens, and tells whether it did.
func deserted(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED) && os.Remove(path) == nil
}

// Close ends the service.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// knownPeers lets in who has our user id, and root.
type knownPeers struct {
	*net.UnixListener
	log *slog.Logger
}

// Accept implements net.Listener.
func (l knownPeers) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(c)
		if err == nil && (uid == 0 || uid == uint32(os.Geteuid())) {
			return c, nil
		}
		l.log.Warn("control: a stranger was turned away", slog.Any("uid", uid), slog.Any("error", err))
		_ = c.Close()
	}
}

func peer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var asked error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); asked == nil {
			uid = cred.Uid
		}
	})
	return uid, errors.Join(err, asked)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { s.answer(w, statusOf(s.mount), nil) }

func (s *Server) switchTo(w http.ResponseWriter, r *http.Request) {
	var body switchRequest
	if !s.read(w, r, &body) {
		return
	}
	did, err := s.mount.Switch(r.Context(), body.Rev)
	s.answer(w, switched(did), err)
}

func (s *Server) setChangelist(w http.ResponseWriter, r *http.Request) {
	var body changelistRequest
	if !s.read(w, r, &body) {
		return
	}
	did, err := s.mount.SetChangelist(r.Context(), actors.Changelist{Link: body.Link, Path: body.Path})
	s.answer(w, switched(did), err)
}

func (s *Server) clearChangelist(w http.ResponseWriter, r *http.Request) {
	did, err := s.mount.ClearChangelist(r.Context())
	s.answer(w, switched(did), err)
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		s.send(w, http.StatusBadRequest, failure{Error: "not the JSON that belongs here: " + err.Error()})
		return false
	}
	return true
}

func (s *Server) answer(w http.ResponseWriter, body any, err error) {
	if err != nil {
		s.send(w, statusCode(err), failure{Error: err.Error()})
		return
	}
	s.send(w, http.StatusOK, body)
}

// statusCode tells what was asked wrongly from what went wrong.
func statusCode(err error) int {
	for _, wrong := range []error{
		actors.ErrBadSpec, actors.ErrNoPath, actors.ErrNoChangelists, actors.ErrNoMatch, remote.ErrUnknownRev, remote.ErrNotFound,
		changelist.ErrBadChange, changelist.ErrConflict, changelist.ErrNotInBase,
	} {
		if errors.Is(err, wrong) {
			return http.StatusBadRequest
		}
	}
	return http.StatusBadGateway
}

func (s *Server) send(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Debug("control: answer not sent", slog.Any("error", err))
	}
}
