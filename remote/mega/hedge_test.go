package mega_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// timed answers a blob or a tree after a time that may differ from request to request.
type timed struct {
	content string
	delay   func(n int64) time.Duration // of the n-th request, from 1
	asked   atomic.Int64
	left    atomic.Int64 // requests whose client did not wait
}

func (s *timed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.asked.Add(1)
	select {
	case <-time.After(s.delay(n)):
	case <-r.Context().Done():
		s.left.Add(1)
		panic(http.ErrAbortHandler)
	}
	origintest.Answer("application/octet-stream", s.content)(w, r, nil)
}

// warmed asks often enough for late answers to be known as such.
func warmed(t *testing.T, s *timed, o *mega.Client, tree bool) {
	t.Helper()
	for range 200 {
		ask(t, s, o, tree)
	}
	if n := s.asked.Load(); n != 200 {
		t.Fatalf("%d requests", n)
	}
}

func ask(t *testing.T, s *timed, o *mega.Client, tree bool) {
	t.Helper()
	if !tree {
		wantRead(t, o, s.content)
		return
	}
	if _, err := o.Tree(t.Context(), remote.TreeRef{Path: "x", ID: object.Sum(object.Tree, []byte(s.content))}); err != nil {
		t.Error(err)
	}
}

// TestLateAnswersAreAskedForTwice delays single answers, and then wants the second request's.
func TestLateAnswersAreAskedForTwice(t *testing.T) {
	for name, tree := range map[string]bool{"blobs": false, "trees": true} {
		t.Run(name, func(t *testing.T) {
			s := &timed{content: string(object.AppendTree(nil, []object.Entry{{Name: "f", Mode: object.ModeFile, ID: someID}}))}
			s.delay = func(n int64) time.Duration {
				if n == 201 || n == 250 {
					return 20 * time.Second
				}
				return 30 * time.Millisecond
			}
			inBubble(t, s, func(t *testing.T, o *mega.Client) {
				warmed(t, s, o, tree)
				near(t, "a late answer", took(func() { ask(t, s, o, tree) }), 140*time.Millisecond, 140*time.Millisecond)
				if n := s.asked.Load(); n != 202 {
					t.Errorf("%d requests", n)
				}
				for range 100 {
					near(t, "each", took(func() { ask(t, s, o, tree) }), 30*time.Millisecond, 140*time.Millisecond)
				}
				if n := o.Counts().Hedged; n != 2 {
					t.Errorf("%d requests count as sent twice", n)
				}
				time.Sleep(time.Minute)
				if n := s.left.Load(); n != 2 {
					t.Errorf("%d of the two late answers were still waited for", 2-n)
				}
			})
		})
	}
}

// TestWhatIsLateFollowsTheServer: where answers take a second, only more than that is late.
func TestWhatIsLateFollowsTheServer(t *testing.T) {
	var stuck atomic.Bool
	s := &timed{content: "x", delay: func(n int64) time.Duration {
		if stuck.CompareAndSwap(true, false) {
			return 20 * time.Second
		}
		return time.Second - time.Duration(n%50)*time.Millisecond
	}}
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		for range 200 {
			ask(t, s, o, false)
		}
		stuck.Store(true)
		near(t, "a late answer", took(func() { ask(t, s, o, false) }), 1910*time.Millisecond, 2010*time.Millisecond)
	})
}

// TestFewRequestsAreSentTwice slows all of a server down at once.
func TestFewRequestsAreSentTwice(t *testing.T) {
	s := &timed{content: "x", delay: func(n int64) time.Duration {
		if n <= 200 {
			return 10 * time.Millisecond
		}
		return 10 * time.Second
	}}
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		warmed(t, s, o, false)
		for range 1000 {
			ask(t, s, o, false)
		}
		if extra := s.asked.Load() - 1200; extra < 1 || extra > 4+1000/50 {
			t.Errorf("%d of 1000 requests were sent twice", extra)
		}
	})
}

func TestNothingIsSentTwice(t *testing.T) {
	late := func(n int64) time.Duration {
		if n == 99 || n > 200 {
			return 20 * time.Second
		}
		return time.Millisecond
	}
	t.Run("before enough answers came", func(t *testing.T) {
		s := &timed{content: "x", delay: late}
		inBubble(t, s, func(t *testing.T, o *mega.Client) { warmed(t, s, o, false) })
	})
	t.Run("when the answer comes while we look again", func(t *testing.T) {
		s := &timed{content: "x", delay: func(n int64) time.Duration {
			if n == 201 {
				return 105 * time.Millisecond
			}
			return time.Millisecond
		}}
		inBubble(t, s, func(t *testing.T, o *mega.Client) {
			warmed(t, s, o, false)
			near(t, "a late answer", took(func() { ask(t, s, o, false) }), 105*time.Millisecond, 105*time.Millisecond)
			if n := s.asked.Load(); n != 201 || o.Counts().Hedged != 0 {
				t.Errorf("%d requests, %d of them sent twice", n, o.Counts().Hedged)
			}
		})
	})
	t.Run("when nobody wants it", func(t *testing.T) {
		s := &timed{content: "x", delay: late}
		inBubble(t, s, func(t *testing.T, o *mega.Client) {
			warmed(t, s, o, false)
			near(t, "a late answer", took(func() { ask(t, s, o, false) }), 20*time.Second, 20*time.Second)
		}, func(cfg *mega.Config) { cfg.HedgeFloor = -1 })
	})
}

// TestASecondRequestThatFailsDoesNoHarm: the first one's answer is still good.
func TestASecondRequestThatFailsDoesNoHarm(t *testing.T) {
	s := &timed{content: "x", delay: func(n int64) time.Duration {
		if n == 201 {
			return 10 * time.Second
		}
		return time.Millisecond
	}}
	var asked atomic.Int64
	h := origintest.Inject(s, func(*http.Request) origintest.Fault {
		if asked.Add(1) == 202 {
			return origintest.Reset()
		}
		return nil
	})
	inBubble(t, h, func(t *testing.T, o *mega.Client) {
		warmed(t, s, o, false)
		near(t, "a late answer", took(func() { ask(t, s, o, false) }), 10*time.Second, 10*time.Second)
		if n := asked.Load(); n < 202 { // net/http sends a request whose connection was reset once more by itself
			t.Errorf("%d requests", n)
		}
	})
}

// TestAFirstRequestThatFailsIsTriedAgain though the second, which may be stuck, has not come back.
func TestAFirstRequestThatFailsIsTriedAgain(t *testing.T) {
	s := &timed{content: "x", delay: func(n int64) time.Duration {
		if n == 201 { // the second one: the first does not come here
			return 20 * time.Second
		}
		return time.Millisecond
	}}
	var asked atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 201 {
			time.Sleep(5 * time.Second)
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	})
	inBubble(t, h, func(t *testing.T, o *mega.Client) {
		warmed(t, s, o, false)
		near(t, "an answer", took(func() { ask(t, s, o, false) }), 5*time.Second, 6*time.Second)
	})
}
