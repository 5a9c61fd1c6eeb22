package monoserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// Repository is what the server needs of a git repository.
type Repository interface {
	remote.Origin
	// Object returns an object's kind and payload.
	Object(ctx context.Context, id object.ID) (object.Kind, []byte, error)
	// LastChange returns the newest commit, from this one backwards, that changed path.
	LastChange(ctx context.Context, from object.ID, path string) (object.ID, error)
}

var _ Repository = (*gitrepo.Repo)(nil)

// Server answers Mega's read API. It is an http.Handler, safe for concurrent use.
type Server struct {
	repo   Repository // its caller's
	log    *slog.Logger
	mux    *http.ServeMux            // immutable
	counts map[string]*atomic.Uint64 // by route pattern; the map is immutable
}

var _ http.Handler = (*Server)(nil)

// New returns a server over repo, which it does not close. A nil log discards.
func New(repo Repository, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{repo: repo, log: log, mux: http.NewServeMux(), counts: make(map[string]*atomic.Uint64)}
	s.route("/api/v1/tree/content-hash", s.contentHash)
	s.route("/api/v1/tree/dir-hash", s.dirHash)
	s.route("/api/v1/tree", s.tree)
	s.route("/api/v1/file/blob/{oid}", s.blob)
	s.route("/api/v1/file/tree", s.rawTree)
	s.route("/api/v1/latest-commit", s.latestCommit)
	s.route("/api/v1/cl/{link}/files-list", s.clFiles)
	s.route("/api/v1/status", s.status)
	s.route("/{$}", s.status)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("no such route: %s", r.URL.Path))
	})
	return s
}

// route registers a handler for GET (and so HEAD) with its counter.
func (s *Server) route(path string, h func(http.ResponseWriter, *http.Request)) {
	n := new(atomic.Uint64)
	s.counts[path] = n
	s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	})
}

// ServeHTTP answers one request and logs it at debug level.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	s.mux.ServeHTTP(w, r)
	s.log.DebugContext(r.Context(), "request", "method", r.Method, "url", r.URL.String(), "took", time.Since(start))
}

// Counts returns how often each route was asked since New, by its pattern as in the package comment; routes that were
// never asked are left out.
func (s *Server) Counts() map[string]uint64 {
	counts := make(map[string]uint64)
	for path, n := range s.counts {
		if v := n.Load(); v > 0 {
			counts[path] = v
		}
	}
	return counts
}

// shutdownTime is how long Serve waits for answers under way once its context has ended.
const shutdownTime = 5 * time.Second

// Serve answers requests on ln with h until ctx ends, then lets those under way finish. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("monoserver: serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-failed
	if err != nil {
		return fmt.Errorf("monoserver: shut down %s: %w", ln.Addr(), err)
	}
	return nil
}
