package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
)

// originTask says what an origin's process serves: each repository below its name, at each round trip time.
type originTask struct {
	Repos map[string]string // name, directory
	Trips []time.Duration
}

// tallyPath answers a repository's counts since the last time: /NAME/bench/tally?lag=DURATION.
const tallyPath = "/bench/tally"

// kept is a repository whose objects stay in memory. The origin stands for another machine: it must not take away this one's
// cores by inflating objects while a contender is measured.
type kept struct {
	*gitrepo.Repo
	pins, trees, blobs sync.Map
}

var _ monoserver.Repository = (*kept)(nil)

// Pin resolves a revision once: nothing moves while the origin serves.
func (k *kept) Pin(ctx context.Context, rev string) (remote.Commit, error) {
	return once(&k.pins, rev, func() (remote.Commit, error) { return k.Repo.Pin(ctx, rev) })
}

// Tree reads a tree once.
func (k *kept) Tree(ctx context.Context, ref remote.TreeRef) (remote.Tree, error) {
	return once(&k.trees, ref.ID, func() (remote.Tree, error) { return k.Repo.Tree(ctx, ref) })
}

// Blob reads a blob once.
func (k *kept) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	content, err := once(&k.blobs, id, func() ([]byte, error) {
		b, err := k.Repo.Blob(ctx, id)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		buf := make([]byte, b.Size)
		_, err = io.ReadFull(b, buf)
		return buf, err
	})
	if err != nil {
		return remote.Blob{}, err
	}
	return remote.Blob{ReadCloser: io.NopCloser(bytes.NewReader(content)), Size: int64(len(content))}, nil
}

// once returns a map's value, made if it is not there.
func once[V any](m *sync.Map, key any, read func() (V, error)) (V, error) {
	if v, ok := m.Load(key); ok {
		return v.(V), nil
	}
	v, err := read()
	if err == nil {
		m.Store(key, v)
	}
	return v, err
}

// serveOrigin is the main function of an origin's process. It writes its addresses, in the order of the task's round trip
// times, and serves until its input ends.
func serveOrigin(in io.Reader, out io.Writer) error {
	var t originTask
	dec := json.NewDecoder(in)
	if err := dec.Decode(&t); err != nil {
		return fmt.Errorf("origin: read the task: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h, err := t.handler(ctx)
	if err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	var addrs []string
	for _, trip := range t.Trips {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("origin: %w", err)
		}
		addrs = append(addrs, ln.Addr().String())
		go func() { _ = monoserver.Serve(ctx, delay(ln, trip), h, nil) }()
	}
	if err := json.NewEncoder(out).Encode(addrs); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

func (t originTask) handler(ctx context.Context) (http.Handler, error) {
	mux := http.NewServeMux()
	for name, dir := range t.Repos {
		repo, err := gitrepo.Open(ctx, filepath.Clean(dir))
		if err != nil {
			return nil, err
		}
		book := new(ledger)
		mono := monoserver.New(&kept{Repo: repo}, nil)
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, book.watch(mono)))
		mux.HandleFunc("/"+name+tallyPath, func(w http.ResponseWriter, r *http.Request) {
			lag, err := time.ParseDuration(r.URL.Query().Get("lag"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_ = json.NewEncoder(w).Encode(book.take(lag))
		})
	}
	return mux, nil
}
