package monoserver

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

const (
	lfsType   = "application/vnd.git-lfs+json"
	lfsExpiry = 24 * time.Hour // of the addresses in a batch answer, as in Mega
)

// lfsRoots are the paths that the routes of Git LFS are below: the one that git-lfs finds by itself, and Mega's others.
var lfsRoots = []string{"", "/info/lfs", "/api/v1/lfs"}

// lfsRequest is the body of a batch request. Mega requires each field, optional as they are in the protocol.
type lfsRequest struct {
	Operation *string      `json:"operation"`
	Transfers *[]string    `json:"transfers"`
	Objects   *[]lfsObject `json:"objects"`
	HashAlgo  *string      `json:"hash_algo"`
}

type lfsObject struct {
	OID           string             `json:"oid"`
	Size          int64              `json:"size"`
	Authenticated bool               `json:"authenticated,omitempty"`
	Actions       map[string]lfsLink `json:"actions,omitempty"`
	Error         *lfsError          `json:"error,omitempty"`
}

type lfsLink struct {
	Href      string            `json:"href"`
	Header    map[string]string `json:"header"`
	ExpiresAt string            `json:"expires_at"`
}

type lfsError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// ServeLFS serves the Git LFS objects that are in a directory, as git-lfs keeps them in .git/lfs/objects ("ab/cd/abcd..."),
// or each directly under its SHA-256. "" serves none, as at first.
func (s *Server) ServeLFS(dir string) { s.lfs.Store(&dir) }

// routeLFS registers the routes of Git LFS.
func (s *Server) routeLFS() {
	for _, root := range lfsRoots {
		s.route("POST ", root+"/objects/batch", urlOf, s.lfsBatch)
		s.get(root+"/objects/{oid}", valueOf("oid"), s.lfsDownload)
	}
}

// largeFile opens an object; one that is not there is remote.ErrNotFound.
func (s *Server) largeFile(oid string) (*os.File, int64, error) {
	dir := *s.lfs.Load()
	missing := fmt.Errorf("LFS object not found: %s: %w", oid, remote.ErrNotFound)
	if sum, err := hex.DecodeString(oid); err != nil || len(sum) != 32 || dir == "" {
		return nil, 0, missing
	}
	name := strings.ToLower(oid)
	for _, path := range []string{filepath.Join(name[:2], name[2:4], name), name} {
		f, err := os.Open(filepath.Join(dir, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("LFS object %s: %w", oid, err)
		}
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil, 0, errors.Join(missing, err, f.Close())
		}
		return f, info.Size(), nil
	}
	return nil, 0, missing
}

// lfsBatch says where objects are to be had. Each has an answer of its own: the request succeeds even if none is there.
func (s *Server) lfsBatch(w http.ResponseWriter, r *http.Request) {
	var req lfsRequest
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" &&
		(!strings.HasPrefix(kind, "application/") || !strings.HasSuffix(kind, "+json")) {
		http.Error(w, "Expected request with `Content-Type: application/json`", http.StatusUnsupportedMediaType)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, "Failed to parse the request body as JSON: "+err.Error(), http.StatusBadRequest)
		return
	}
	if req.Operation == nil || req.Transfers == nil || req.Objects == nil || req.HashAlgo == nil {
		http.Error(w, "Failed to deserialize the JSON body into the target type: missing field", http.StatusUnprocessableEntity)
		return
	}
	objects := make([]lfsObject, 0, len(*req.Objects))
	for _, asked := range *req.Objects {
		objects = append(objects, s.lfsAnswer(r, *req.Operation, asked))
	}
	body := map[string]any{"transfer": "basic", "objects": objects, "hash_algo": "sha256"}
	s.writeTyped(w, r, lfsType, http.StatusOK, body)
}

// lfsAnswer says what can be done with one object. Its size is that of the object, not what the request claims.
func (s *Server) lfsAnswer(r *http.Request, operation string, asked lfsObject) lfsObject {
	f, size, err := s.largeFile(asked.OID)
	if err != nil {
		return lfsObject{OID: asked.OID, Size: asked.Size, Error: &lfsError{http.StatusNotFound, "Not found"}}
	}
	_ = f.Close() // nothing was read
	found := lfsObject{OID: asked.OID, Size: size, Authenticated: true}
	if operation == "download" {
		base := s.Quirks().LFSBase
		if base == "" {
			base = "http://" + r.Host + "/info/lfs/objects/"
		}
		found.Actions = map[string]lfsLink{"download": {
			Href:      base + asked.OID,
			Header:    map[string]string{"Accept": "application/vnd.git-lfs"},
			ExpiresAt: time.Now().Add(lfsExpiry).UTC().Format(time.RFC3339Nano),
		}}
	}
	return found
}

// lfsDownload answers an object's bytes. Mega does not say how many they are, nor does it know ranges.
func (s *Server) lfsDownload(w http.ResponseWriter, r *http.Request) {
	f, _, err := s.largeFile(r.PathValue("oid"))
	if err != nil {
		s.writeTyped(w, r, lfsType, statusOf(err), map[string]string{"message": err.Error()})
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	_ = http.NewResponseController(w).Flush() // else a short body's length is told
	if _, err := io.Copy(w, f); err != nil {
		s.log.WarnContext(r.Context(), "large file cut short", "oid", r.PathValue("oid"), "err", err)
		panic(http.ErrAbortHandler)
	}
}
