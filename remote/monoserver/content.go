package monoserver

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// blob answers a blob's bytes. Mega reads the whole blob for a HEAD too; here that costs its size only.
func (s *Server) blob(w http.ResponseWriter, r *http.Request) {
	oid := r.PathValue("oid")
	raw, err := hex.DecodeString(oid)
	if err != nil || (len(raw) != len(object.ID{}) && len(raw) != 32) {
		s.fail(w, r, http.StatusInternalServerError, fmt.Errorf("blob %q: %w", oid, object.ErrBadID))
		return
	}
	id, ok := s.blobID(raw)
	if !ok {
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("blob %s: %w", oid, remote.ErrNotFound))
		return
	}
	if payload, ok := s.patchBlob(id); ok {
		blobHeader(w.Header(), oid, int64(len(payload)))
		_, _ = w.Write(payload) // a client that left needs no answer
		return
	}
	if sizer, ok := s.repo.(remote.Sizer); ok && r.Method == http.MethodHead {
		size, err := sizer.Size(r.Context(), id)
		if err != nil {
			s.fail(w, r, statusOf(err), err)
			return
		}
		blobHeader(w.Header(), oid, size)
		return
	}
	b, err := s.repo.Blob(r.Context(), id)
	if err != nil {
		s.fail(w, r, statusOf(err), err)
		return
	}
	defer b.Close()
	blobHeader(w.Header(), oid, b.Size)
	if _, err := io.Copy(w, b); err != nil {
		// The status is out. Only a broken connection still tells the client that this is not all.
		s.log.WarnContext(r.Context(), "blob cut short", "oid", oid, "err", err)
		panic(http.ErrAbortHandler)
	}
}

// blobID returns the blob that an id names. No object of a SHA-1 repository has one of 64 digits.
func (s *Server) blobID(raw []byte) (object.ID, bool) {
	if len(raw) == len(object.ID{}) {
		return object.ID(raw), !s.Quirks().SHA256
	}
	return s.ids.blob(id256(raw))
}

func blobHeader(h http.Header, oid string, size int64) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", oid))
	h.Set("Content-Length", strconv.FormatInt(size, 10))
}

// rawTree answers the head's tree object without its header, and nothing at all for what is missing, is a file, or has
// another id than the request's oid: that parameter works as an If-Match.
func (s *Server) rawTree(w http.ResponseWriter, r *http.Request) {
	c, err := s.commitFor(r.Context(), "", queryPath(r))
	var (
		dir     object.Entry
		payload []byte
	)
	if err == nil {
		dir, err = s.dirs.entryAt(r.Context(), c.Tree, queryPath(r))
	}
	if err == nil {
		var read *directory
		if read, err = s.dirs.read(r.Context(), dir); err == nil {
			payload = read.payload
			if s.Quirks().SHA256 {
				payload, err = s.ids.tree(r.Context(), read)
			}
		}
	}
	var oid string
	if err == nil {
		oid, err = s.ids.hex(r.Context(), dir)
	}
	if err != nil && !errors.Is(err, remote.ErrNotFound) {
		s.fail(w, r, statusOf(err), err)
		return
	}
	if want := r.URL.Query().Get("oid"); err == nil && want != "" && want != oid {
		payload = nil
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(payload)))
	_, _ = w.Write(payload) // a client that left needs no answer
}
