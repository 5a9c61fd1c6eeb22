package mega_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// switched answers "x", or with the fault that is set.
type switched struct {
	fault atomic.Pointer[origintest.Fault]
	asked atomic.Int64
}

func (s *switched) set(f origintest.Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

func (s *switched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if f := s.fault.Load(); f != nil {
		(*f)(w, r, serving("x"))
		return
	}
	serving("x").ServeHTTP(w, r)
}

// exhaust asks until requests are refused without being sent, and wants that to come.
func exhaust(t *testing.T, o *mega.Client) {
	t.Helper()
	for range 200 {
		before := o.Counts().Requests
		_, err := read(t.Context(), o, someID)
		wantError(t, err, remote.ErrUnavailable, "")
		if o.Counts().Requests == before {
			wantError(t, err, remote.ErrUnavailable, "not asked: the server has failed all requests for a while")
			return
		}
	}
	t.Error("a server that fails is asked for ever")
}

func TestAServerThatFailsIsLeftAlone(t *testing.T) {
	for name, fault := range map[string]origintest.Fault{
		"503": origintest.Status(503), "a bare 500": origintest.Status(500), "resets": origintest.Reset(), "hangs": origintest.Hang(),
	} {
		t.Run(name, func(t *testing.T) {
			s := new(switched)
			inBubble(t, s, func(t *testing.T, o *mega.Client) {
				wantRead(t, o, "x")
				s.set(fault)
				exhaust(t, o)
				asked := s.asked.Load()
				near(t, "100 refusals", took(func() {
					for range 100 {
						_, err := o.Tree(t.Context(), remote.TreeRef{Path: "x", ID: someID})
						wantError(t, err, remote.ErrUnavailable, "not asked")
					}
				}), 0, 0)
				if n := s.asked.Load(); n != asked {
					t.Errorf("%d of the refused requests were sent", n-asked)
				}
				s.set(nil)
				time.Sleep(1300 * time.Millisecond)
				wantRead(t, o, "x") // and nothing was opened or mounted again
				for range 10 {
					wantRead(t, o, "x")
				}
			})
		})
	}
}

// TestAServerThatHangsIsLeftAlone: whoever asks it one thing after the other does not wait for each.
func TestAServerThatHangsIsLeftAlone(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		s.set(origintest.Hang())
		near(t, "all of 100 requests", took(func() {
			for range 100 {
				_, err := read(t.Context(), o, someID)
				wantError(t, err, remote.ErrUnavailable, "")
			}
		}), 90*time.Second, 4*time.Minute)
	})
}

// TestFailuresFarApartAreNoOutage: each of them has all its tries.
func TestFailuresFarApartAreNoOutage(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		s.set(origintest.Status(503))
		for i := range 100 {
			_, err := read(t.Context(), o, someID)
			wantError(t, err, remote.ErrUnavailable, "503")
			if n := int(s.asked.Load()); n != 5*(i+1) {
				t.Fatalf("%d requests for %d blobs", n, i+1)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestOneProbeAtATime lets many ask when the pause is over and the server still hangs.
func TestOneProbeAtATime(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		s.set(origintest.Status(503))
		exhaust(t, o)
		s.set(origintest.Hang())
		time.Sleep(1300 * time.Millisecond)
		asked := s.asked.Load()
		for range 64 {
			go func() { _, _ = read(t.Context(), o, someID) }()
		}
		synctest.Wait()
		if n := s.asked.Load() - asked; n != 1 {
			t.Errorf("%d requests try whether the server is back", n)
		}
		time.Sleep(5 * time.Minute)
		s.set(nil)
		time.Sleep(1300 * time.Millisecond)
		wantRead(t, o, "x")
	})
}

// TestAProbeWhoseCallerLeavesIsNotTheLast: else nothing would ever be asked again.
func TestAProbeWhoseCallerLeavesIsNotTheLast(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		s.set(origintest.Status(503))
		exhaust(t, o)
		s.set(origintest.Hang())
		time.Sleep(1300 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := read(ctx, o, someID)
		wantError(t, err, context.DeadlineExceeded, "")
		s.set(nil)
		time.Sleep(1300 * time.Millisecond)
		wantRead(t, o, "x")
	})
}

// TestAShortOutageIsSatOut: requests that fail all at once for a moment are what tries are for.
func TestAShortOutageIsSatOut(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		s.set(origintest.Status(503))
		done := make(chan error)
		for range 256 {
			go func() {
				_, err := read(t.Context(), o, someID)
				done <- err
			}()
		}
		time.Sleep(500 * time.Millisecond)
		s.set(nil)
		for range 256 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestWhatMegaCannotFindIsNoOutage: many routes answer 500 to it, in the API's envelope.
func TestWhatMegaCannotFindIsNoOutage(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		for _, fault := range []origintest.Fault{
			func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(`{"req_result":false,"data":null,"err_message":"Internal server error"}`))
			},
			origintest.Status(429), origintest.Page(),
		} {
			s.set(fault)
			for range 200 {
				if _, err := read(t.Context(), o, someID); err == nil {
					t.Fatal("no error")
				}
			}
			s.set(nil)
			wantRead(t, o, "x")
		}
	})
}

// TestABrokenBodyWaitsForTheServer: what was half read is not given up because others found the server down.
func TestABrokenBodyWaitsForTheServer(t *testing.T) {
	s := new(switched)
	inBubble(t, s, func(t *testing.T, o *mega.Client) {
		stall := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			origintest.Stall()(w, r, serving(streamed))
		}
		s.set(stall)
		b, err := o.Blob(t.Context(), idOf(streamed))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s.set(origintest.Status(503))
		exhaust(t, o)
		s.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { serving(streamed).ServeHTTP(w, r) })
		if got, err := io.ReadAll(b); string(got) != streamed {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}
