package monoserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// Repository is what the server needs of a git repository.
type Repository interface {
	remote.Origin
	// Object returns an object's kind and payload.
	Object(ctx context.Context, id object.ID) (object.Kind, []byte, error)
	// LastChange returns the newest commit, from this one backwards, that changed path.
	LastChange(ctx context.Context, from object.ID, path string) (object.ID, error)
	// Diff lists what differs between two trees.
	Diff(ctx context.Context, from, to object.ID) ([]gitrepo.Difference, error)
	// Apply calls use with a repository that also has what a patch makes of a commit, and with the tree that it makes.
	Apply(ctx context.Context, to object.ID, patch []byte, use func(patched *gitrepo.Repo, tree object.ID) error) error
}

var _ Repository = (*gitrepo.Repo)(nil)

// Server answers Mega's read API. It is an http.Handler. All its methods may be called at any time, from any goroutine.
type Server struct {
	repo     Repository // its caller's
	dirs     *directories
	ids      *renamer
	log      *slog.Logger
	mux      *http.ServeMux      // immutable
	counters map[string]*counter // by route pattern; the map is immutable
	faults   fault.Set

	head        atomic.Pointer[remote.Commit] // nil follows the repository's HEAD
	quirks      atomic.Pointer[Quirks]        // never nil
	lfs         atomic.Pointer[string]        // a directory, or ""; never nil
	changelists sync.Map                      // *changes by link
}

var _ http.Handler = (*Server)(nil)

// New returns a server over repo, which it does not close. A nil log discards.
func New(repo Repository, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{repo: repo, dirs: newDirectories(repo), log: log, mux: http.NewServeMux(), counters: make(map[string]*counter)}
	s.ids = newRenamer(s)
	s.SetQuirks(Quirks{})
	s.ServeLFS("")
	s.get("/api/v1/tree/content-hash", pathOf, s.contentHash)
	s.get("/api/v1/tree/dir-hash", pathOf, s.dirHash)
	s.get("/api/v1/tree", pathOf, s.tree)
	s.get("/api/v1/file/blob/{oid}", valueOf("oid"), s.blob)
	s.get("/api/v1/file/tree", pathOf, s.rawTree)
	s.get("/api/v1/latest-commit", pathOf, s.latestCommit)
	s.get("/api/v1/cl/{link}/files-list", valueOf("link"), s.clFiles)
	s.get("/api/v1/status", urlOf, s.status)
	s.routeLFS()
	s.get("/{$}", urlOf, s.status)
	s.route("", "/", urlOf, func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("no such route: %s", r.URL.Path))
	})
	return s
}

// What a request names, for its route's counter.
func pathOf(r *http.Request) string { return "/" + strings.Join(queryPath(r), "/") }
func urlOf(r *http.Request) string  { return r.URL.Path }
func valueOf(name string) func(*http.Request) string {
	return func(r *http.Request) string { return r.PathValue(name) }
}

// get registers a handler for GET, and so for HEAD.
func (s *Server) get(path string, object func(*http.Request) string, h http.HandlerFunc) {
	s.route("GET ", path, object, h)
}

// route registers a handler behind its counter and the faults.
func (s *Server) route(method, path string, object func(*http.Request) string, h http.HandlerFunc) {
	c := &counter{object: object}
	s.counters[path] = c
	faulty := s.faults.Wrap(h)
	s.mux.HandleFunc(method+path, func(w http.ResponseWriter, r *http.Request) {
		c.begin(r)
		body := &counted{ResponseWriter: w}
		defer func() { c.end(body.bytes) }() // also when the connection is broken
		faulty.ServeHTTP(body, r)
	})
}

// ServeHTTP answers one request and logs it at debug level.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	s.mux.ServeHTTP(w, r)
	s.log.DebugContext(r.Context(), "request", "method", r.Method, "url", r.URL.String(), "took", time.Since(start))
}
