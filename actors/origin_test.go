package actors

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// commitTime is the time of the fake origin's first commit; those that follow are an hour later each.
var commitTime = time.Unix(1_700_000_000, 0)

// fakeOrigin is a repository in memory, whose answers a test can hold up, spoil and count.
type fakeOrigin struct {
	commit  remote.Commit            // the first
	commits map[string]remote.Commit // by name; with mu once it is mounted
	objects map[object.ID][]byte     // the same

	lists map[string][]remote.Change // changelists by link; immutable once it is mounted

	mu     sync.Mutex
	asked  map[string]int // by "tree PATH" and "blob ID"
	before func(ctx context.Context, what string) error
	body   func(ctx context.Context, b []byte) io.Reader // nil, or how a blob's bytes come
}

var _ remote.Origin = (*fakeOrigin)(nil)

// file is one of the origin's: its mode and content.
type file struct {
	mode object.Mode
	text string
}

// newOrigin makes a repository of these files by path.
func newOrigin(files map[string]file) *fakeOrigin {
	o := &fakeOrigin{objects: make(map[object.ID][]byte), asked: make(map[string]int), commits: make(map[string]remote.Commit)}
	o.commit = o.commitOf("", files)
	return o
}

// commitOf adds a commit that can be asked for by a name; that named "" is the head.
func (o *fakeOrigin) commitOf(name string, files map[string]file) remote.Commit {
	c := remote.Commit{Time: commitTime.Add(time.Duration(len(o.commits)) * time.Hour), Tree: o.add(object.Tree, o.tree(files))}
	c.ID = object.Sum(object.Commit, c.Tree[:])
	o.commits[name] = c
	return c
}

func (o *fakeOrigin) add(kind object.Kind, payload []byte) object.ID {
	id := object.Sum(kind, payload)
	o.objects[id] = payload
	return id
}

func (o *fakeOrigin) tree(files map[string]file) []byte {
	below := make(map[string]map[string]file)
	var entries []object.Entry
	for _, path := range slices.Sorted(maps.Keys(files)) {
		name, rest, deeper := strings.Cut(path, "/")
		f := files[path]
		switch {
		case deeper && below[name] == nil:
			below[name] = map[string]file{rest: f}
		case deeper:
			below[name][rest] = f
		case f.mode == object.ModeGitlink:
			entries = append(entries, object.Entry{Name: name, Mode: f.mode, ID: object.ID{0xc0}})
		default:
			entries = append(entries, object.Entry{Name: name, Mode: f.mode, ID: o.add(object.Blob, []byte(f.text))})
		}
	}
	for name, files := range below {
		entries = append(entries, object.Entry{Name: name, Mode: object.ModeTree, ID: o.add(object.Tree, o.tree(files))})
	}
	slices.SortFunc(entries, func(a, b object.Entry) int { return strings.Compare(a.Name, b.Name) })
	return object.AppendTree(nil, entries)
}

// meet has f called before each answer; an error that it returns is the answer.
func (o *fakeOrigin) meet(f func(ctx context.Context, what string) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before = f
}

// serve has the origin answer something else for an object.
func (o *fakeOrigin) serve(id object.ID, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[id] = []byte(text)
}

func (o *fakeOrigin) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for asked, times := range o.asked {
		if strings.HasPrefix(asked, what) {
			n += times
		}
	}
	return n
}

func (o *fakeOrigin) answer(ctx context.Context, what string, id object.ID) ([]byte, error) {
	o.mu.Lock()
	o.asked[what]++
	before := o.before
	o.mu.Unlock()
	if before != nil {
		if err := before(ctx, what); err != nil {
			return nil, err
		}
	}
	if b, ok := o.objects[id]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%s: %w", what, remote.ErrNotFound)
}

// Pin implements remote.Origin.
func (o *fakeOrigin) Pin(ctx context.Context, rev string) (remote.Commit, error) {
	c := o.commitNamed(rev)
	if c.ID.IsZero() {
		return remote.Commit{}, fmt.Errorf("%w: %q", remote.ErrUnknownRev, rev)
	}
	_, err := o.answer(ctx, "pin", c.Tree)
	return c, err
}

func (o *fakeOrigin) commitNamed(rev string) remote.Commit {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.commits[rev]
}

// moveHead has the head be the commit of this name.
func (o *fakeOrigin) moveHead(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commits[""] = o.commits[name]
}

// Changes implements remote.Changelists.
func (o *fakeOrigin) Changes(ctx context.Context, link string) ([]remote.Change, error) {
	changes, ok := o.lists[link]
	if !ok {
		return nil, fmt.Errorf("changelist %s: %w", link, remote.ErrNotFound)
	}
	_, err := o.answer(ctx, "changes "+link, o.commit.Tree)
	return changes, err
}

// Tree implements remote.Origin.
func (o *fakeOrigin) Tree(ctx context.Context, ref remote.TreeRef) (remote.Tree, error) {
	b, err := o.answer(ctx, "tree "+ref.Path, ref.ID)
	return remote.Tree{Payload: b}, err
}

// Blob implements remote.Origin.
func (o *fakeOrigin) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	b, err := o.answer(ctx, "blob "+id.String(), id)
	o.mu.Lock()
	body := o.body
	o.mu.Unlock()
	r := io.Reader(bytes.NewReader(b))
	if body != nil {
		r = body(ctx, b)
	}
	return remote.Blob{ReadCloser: io.NopCloser(r), Size: int64(len(b))}, err
}

// String implements remote.Origin.
func (o *fakeOrigin) String() string { return "fake:repository" }

// Counts implements remote.Origin.
func (o *fakeOrigin) Counts() remote.Counts { return remote.Counts{Requests: uint64(o.count(""))} }

// Close implements remote.Origin.
func (o *fakeOrigin) Close() error { return nil }

// gate holds up whoever comes to it until it is opened.
type gate struct {
	arrived chan string
	open    chan struct{}
}

// holdUp makes the origin's answers to requests whose names begin with what wait.
func (o *fakeOrigin) holdUp(what string) *gate {
	g := &gate{arrived: make(chan string, 1000), open: make(chan struct{})}
	o.meet(func(ctx context.Context, name string) error {
		if !strings.HasPrefix(name, what) {
			return nil
		}
		g.arrived <- name
		select {
		case <-g.open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g
}
