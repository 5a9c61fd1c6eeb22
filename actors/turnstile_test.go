package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

// turnstile holds up each request to an origin whose name begins with its prefix until a test lets it through.
type turnstile struct {
	t      testing.TB
	prefix string

	mu      sync.Mutex
	waiting map[string]chan error // by name; what is sent is the answer
	order   []string              // in which they came
	left    []string              // whose context ended
	most    int                   // how many waited at once
	open    bool
	changed chan struct{} // closed and made anew at each change
}

func newTurnstile(t testing.TB, o *fakeOrigin, prefix string) *turnstile {
	s := &turnstile{t: t, prefix: prefix, waiting: make(map[string]chan error), changed: make(chan struct{})}
	o.meet(s.meet)
	return s
}

func (s *turnstile) meet(ctx context.Context, name string) error {
	if !strings.HasPrefix(name, s.prefix) {
		return nil
	}
	s.mu.Lock()
	for s.waiting[name] != nil { // asked for twice
		name += "+"
	}
	s.order = append(s.order, name)
	if s.open {
		s.tell()
		s.mu.Unlock()
		return nil
	}
	answer := make(chan error, 1)
	s.waiting[name] = answer
	s.most = max(s.most, len(s.waiting))
	s.tell()
	s.mu.Unlock()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[name] == answer {
		delete(s.waiting, name)
	}
	if ctx.Err() != nil {
		s.left = append(s.left, name)
	}
	s.tell()
	return err
}

// tell wakes those who wait for a change. The caller holds mu.
func (s *turnstile) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// until waits for a condition, which is called with mu held.
func (s *turnstile) until(is func() bool) {
	for {
		s.mu.Lock()
		ok, changed := is(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		<-changed
	}
}

// names waits for so many requests and returns their names, in the order in which they came.
func (s *turnstile) names(n int) []string {
	s.until(func() bool { return len(s.waiting) >= n })
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, name := range s.order {
		if s.waiting[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

// pass lets requests through, and returns when they are gone.
func (s *turnstile) pass(names ...string) { s.answer(nil, names...) }

func (s *turnstile) answer(err error, names ...string) {
	for _, name := range names {
		s.until(func() bool { return s.waiting[name] != nil })
		s.mu.Lock()
		s.waiting[name] <- err
		s.mu.Unlock()
		s.until(func() bool { return s.waiting[name] == nil })
	}
}

// passAll lets everybody through from now on.
func (s *turnstile) passAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	for _, answer := range s.waiting {
		answer <- nil
	}
}

func (s *turnstile) came() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// manyFiles are n files of one directory, and the names of the requests for them.
func manyFiles(dir string, n int) (files map[string]file, blobs []string, ids []object.ID) {
	files = make(map[string]file)
	for i := range n {
		text := fmt.Sprintf("content of %s %d", dir, i)
		files[fmt.Sprintf("%s/f%04d", dir, i)] = file{object.ModeFile, text}
		id := object.Sum(object.Blob, []byte(text))
		ids, blobs = append(ids, id), append(blobs, "blob "+id.String())
	}
	return files, blobs, ids
}

// settle returns when the loader has handled what was sent to it before.
func (r *rig) settle() {
	m := &quit{Source: &source{}}
	m.open()
	r.engine.loader.Tell(m)
	_ = m.wait(nobodyWaits)
}

// demand reads a blob as a reader of the mount does; the error comes later.
func (r *rig) demand(id object.ID) <-chan error {
	done := make(chan error, 1)
	m := &fetchBlob{Source: r.fs.core.source, ID: id}
	m.open()
	r.engine.loader.Tell(m)
	go func() { done <- m.wait(nobodyWaits) }()
	return done
}

// prefetch asks for a blob that nobody waits for.
func (r *rig) prefetch(id object.ID) <-chan outcome {
	done := make(chan outcome, 1)
	r.engine.loader.Tell(&fetch{Source: r.fs.core.source, Want: wantSmall, ID: id, Ahead: true, Done: func(o outcome) { done <- o }})
	return done
}
