package mega_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// someID is that of the blob "x".
var someID = idOf("x")

func idOf(content string) object.ID { return object.Sum(object.Blob, []byte(content)) }

// streamed is more than is read within the attempt that opens a blob.
var streamed = strings.Repeat("0123456789abcdef", 10_000)

// serving answers every request with these bytes.
func serving(content string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origintest.Answer("application/octet-stream", content)(w, r, nil)
	})
}

// read reads a blob whole.
func read(ctx context.Context, o *mega.Client, id object.ID) (string, error) {
	b, err := o.Blob(ctx, id)
	if err != nil {
		return "", err
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	return string(text), err
}

func wantRead(t *testing.T, o *mega.Client, want string) {
	t.Helper()
	if got, err := read(t.Context(), o, idOf(want)); got != want || err != nil {
		t.Errorf("read %d bytes, want %d: %v", len(got), len(want), err)
	}
}

// busy answers 429 or another status, and when to come again.
func busy(status int, header func() string) origintest.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", header())
		w.WriteHeader(status)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "40" },
		"a date": func() string {
			return time.Now().Add(40*time.Second + 999*time.Millisecond).UTC().Format(http.TimeFormat)
		},
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(name, status), func(t *testing.T) {
				h := origintest.Inject(serving("x"), origintest.First(1, blobRoute, busy(status, header)))
				inBubble(t, h, func(t *testing.T, o *mega.Client) {
					near(t, "the second try", took(func() { wantRead(t, o, "x") }), 40*time.Second, 80*time.Second)
				})
			})
		}
	}
	for _, when := range []string{"600", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		t.Run("longer than anybody waits: "+when, func(t *testing.T) {
			h := origintest.Inject(serving("x"), origintest.First(1, blobRoute, busy(503, func() string { return when })))
			inBubble(t, h, func(t *testing.T, o *mega.Client) {
				near(t, "refusal", took(func() {
					_, err := o.Blob(t.Context(), someID)
					wantError(t, err, remote.ErrUnavailable, "503")
				}), 0, 0)
				wantRead(t, o, "x")
			})
		})
	}
}

func TestWaitsGrow(t *testing.T) {
	inBubble(t, origintest.Inject(nil, origintest.Always("/", origintest.Status(502))), func(t *testing.T, o *mega.Client) {
		seen := make(map[time.Duration]bool)
		for range 10 {
			d := took(func() {
				_, err := o.Blob(t.Context(), someID)
				wantError(t, err, remote.ErrUnavailable, "502")
			})
			near(t, "five tries", d, 1050*time.Millisecond, 1950*time.Millisecond) // 0.1 + 0.2 + 0.4 + 0.8 s, 30 % more or less
			seen[d] = true
		}
		if len(seen) < 5 || o.Counts().Requests != 50 {
			t.Errorf("waits are not varied: %v; %d requests", seen, o.Counts().Requests)
		}
	})
}

// TestSilenceEndsARequest: a server that takes requests and sends nothing, or nothing new, is given up: the tries and the
// waits between them have one end.
func TestSilenceEndsARequest(t *testing.T) {
	for name, tt := range map[string]struct {
		fault       origintest.Fault
		least, most time.Duration
	}{
		"no answer": {origintest.Hang(), 90 * time.Second, 90 * time.Second},
		"no end":    {origintest.Stall(), 2 * time.Minute, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			h := origintest.Inject(serving("content"), origintest.Always("/", tt.fault))
			inBubble(t, h, func(t *testing.T, o *mega.Client) {
				near(t, "a blob", took(func() {
					_, err := read(t.Context(), o, someID)
					wantError(t, err, remote.ErrUnavailable, "")
				}), tt.least, tt.most)
			})
			inBubble(t, h, func(t *testing.T, o *mega.Client) {
				near(t, "a tree", took(func() {
					_, err := o.Tree(t.Context(), remote.TreeRef{Path: "x", ID: someID})
					wantError(t, err, remote.ErrUnavailable, "/file/tree?path=%2Fx")
				}), tt.least, tt.most)
			})
		})
	}
}

// TestABodyThatStallsOnceIsAskedForAgain, a small one soon.
func TestABodyThatStallsOnceIsAskedForAgain(t *testing.T) {
	for what, tt := range map[string]struct {
		content string
		wait    time.Duration
	}{"small": {"x", 5 * time.Second}, "large": {streamed, 30 * time.Second}} {
		t.Run(what, func(t *testing.T) {
			h := origintest.Inject(serving(tt.content), origintest.First(1, "/", origintest.Stall()))
			inBubble(t, h, func(t *testing.T, o *mega.Client) {
				near(t, "the second try", took(func() { wantRead(t, o, tt.content) }), tt.wait, tt.wait+200*time.Millisecond)
			})
		})
	}
}

// trickle sends content in parts, with a pause before each.
func trickle(content string, parts int, pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		for i := range parts {
			time.Sleep(pause)
			_, _ = io.WriteString(w, content[len(content)*i/parts:len(content)*(i+1)/parts])
			_ = http.NewResponseController(w).Flush()
		}
	})
}

// TestSlowIsNotSilent: what moves is never given up, a listing neither.
func TestSlowIsNotSilent(t *testing.T) {
	payload := object.AppendTree(nil, []object.Entry{{Name: strings.Repeat("n", 200), Mode: object.ModeFile, ID: someID}})
	inBubble(t, trickle(string(payload), 200, 29*time.Second), func(t *testing.T, o *mega.Client) {
		near(t, "a blob", took(func() { wantRead(t, o, string(payload)) }), time.Hour, 2*time.Hour)
		near(t, "a tree", took(func() {
			got, err := o.Tree(t.Context(), remote.TreeRef{Path: "x", ID: object.Sum(object.Tree, payload)})
			if err != nil || !bytes.Equal(got.Payload, payload) {
				t.Error(err)
			}
		}), time.Hour, 2*time.Hour)
		if n := o.Counts().Requests; n != 4 { // they are small, so that each is asked for once more
			t.Errorf("%d requests", n)
		}
	})
}

// TestChangesMayTakeTime: the server compares whole trees for a changelist's files.
func TestChangesMayTakeTime(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(119 * time.Second)
		origintest.Answer("application/json", envelope("[]"))(w, r, nil)
	})
	inBubble(t, h, func(t *testing.T, o *mega.Client) {
		if _, err := o.Changes(t.Context(), "X"); err != nil || o.Counts().Requests != 1 {
			t.Errorf("%v after %d requests", err, o.Counts().Requests)
		}
	})
}

// breaking sends one part of content more each time before it breaks the connection.
func breaking(content string, parts int, seen *atomic.Int64, end func(*http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := min(int(seen.Add(1)), parts)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = io.WriteString(w, content[:len(content)*n/parts])
		if n < parts {
			_ = http.NewResponseController(w).Flush()
			end(r)
		}
	})
}

// TestBrokenBodiesAreReadOn breaks a body far more often than there are tries, each time a little later.
func TestBrokenBodiesAreReadOn(t *testing.T) {
	for name, end := range map[string]func(*http.Request){
		"broken":  func(*http.Request) { panic(http.ErrAbortHandler) },
		"stalled": func(r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			inBubble(t, breaking(streamed, 40, &seen, end), func(t *testing.T, o *mega.Client) {
				wantRead(t, o, streamed)
				if n := seen.Load(); n != 40 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func TestABodyThatNeverGetsFurtherEnds(t *testing.T) {
	h := origintest.Inject(serving(streamed), origintest.Always("/", origintest.Half()))
	inBubble(t, h, func(t *testing.T, o *mega.Client) {
		got, err := read(t.Context(), o, someID)
		wantError(t, err, remote.ErrUnavailable, "unexpected EOF")
		if len(got) != len(streamed)/2 || o.Counts().Requests != 6 {
			t.Errorf("%d bytes, %d requests", len(got), o.Counts().Requests)
		}
	})
}

// TestABodyThatBecameAnotherIsRefused: an id names the same bytes for ever, so other ones are no continuation.
func TestABodyThatBecameAnotherIsRefused(t *testing.T) {
	h := origintest.Inject(origintest.Inject(serving(streamed), origintest.Always("/", fault.Short(159_999))), origintest.First(1, "/",
		func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			origintest.Half()(w, r, serving(streamed))
		}))
	inBubble(t, h, func(t *testing.T, o *mega.Client) {
		_, err := read(t.Context(), o, someID)
		wantError(t, err, remote.ErrBadAnswer, "159999 bytes where it had 160000")
	})
}

// TestCancelEndsABrokenBody cancels before the body is asked for again.
func TestCancelEndsABrokenBody(t *testing.T) {
	inBubble(t, origintest.Inject(serving(streamed), origintest.First(1, "/", origintest.Half())), func(t *testing.T, o *mega.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b, err := o.Blob(ctx, someID)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := io.CopyN(io.Discard, b, 3); err != nil {
			t.Fatal(err)
		}
		cancel()
		_, err = io.ReadAll(b)
		wantError(t, err, context.Canceled, "/file/blob/")
	})
}

func TestReadOfAClosedBody(t *testing.T) {
	inBubble(t, serving(streamed), func(t *testing.T, o *mega.Client) {
		b, err := o.Blob(t.Context(), someID)
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if n, err := b.Read(make([]byte, 10)); n != 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}

func TestEncodedBodiesAreRefused(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		origintest.Answer("application/octet-stream", "\x1f\x8b")(w, r, nil)
	})
	_, err := dial(t, h).Blob(t.Context(), someID)
	wantError(t, err, remote.ErrBadAnswer, `encoded as "gzip"`)
}

// TestDamagedAnswersAreAskedForAgain: what is small is verified before anybody sees it.
func TestDamagedAnswersAreAskedForAgain(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 4096) // as much as is read within an attempt
	for name, damage := range map[string]origintest.Fault{
		"corrupt": origintest.Corrupt(), "short": fault.Short(0), "empty": origintest.Answer("application/octet-stream", ""),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, origintest.Inject(serving(content), origintest.First(4, "/", damage)), func(t *testing.T, o *mega.Client) {
				wantRead(t, o, content)
			})
			inBubble(t, origintest.Inject(serving(content), origintest.Always("/", damage)), func(t *testing.T, o *mega.Client) {
				_, err := o.Blob(t.Context(), idOf(content))
				wantError(t, err, remote.ErrMismatch, "damaged on the way")
				if n := o.Counts().Requests; n != 5 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}
