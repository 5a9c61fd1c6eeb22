package origintest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Fault answers a request in place of next, or with its help.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Inject returns next with faults: pick says which one a request meets, nil for none. It is called concurrently.
func Inject(next http.Handler, pick func(*http.Request) Fault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := pick(r); f != nil {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Always picks f for each request whose URL path contains part.
func Always(part string, f Fault) func(*http.Request) Fault {
	return First(int64(1)<<62, part, f)
}

// First picks f for the first n requests whose URL path contains part.
func First(n int64, part string, f Fault) func(*http.Request) Fault {
	var seen atomic.Int64
	return func(r *http.Request) Fault {
		if strings.Contains(r.URL.Path, part) && seen.Add(1) <= n {
			return f
		}
		return nil
	}
}

// Status answers this status without a body.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(code) }
}

// Answer answers 200 with this content type and body.
func Answer(contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body))
	}
}

// Page answers what a login page or a proxy would: 200 and HTML.
func Page() Fault { return Answer("text/html; charset=utf-8", "<html><body>Sign in</body></html>") }

// Half announces the real answer's length, sends half of it and breaks the connection.
func Half() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		sendHalf(w, r, next)
		panic(http.ErrAbortHandler)
	}
}

// Stall sends half of the real answer and then nothing until the client leaves.
func Stall() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		sendHalf(w, r, next)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Corrupt sends the real answer with its middle byte changed.
func Corrupt() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := record(r, next)
		body := rec.Body.Bytes()
		if len(body) > 0 {
			body[len(body)/2] ^= 0x20
		}
		copyHeader(w, rec, len(body))
		_, _ = w.Write(body)
	}
}

// Hang answers nothing until the client leaves.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Reset breaks the connection without an answer.
func Reset() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Delay answers late.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-time.After(d):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

func sendHalf(w http.ResponseWriter, r *http.Request, next http.Handler) {
	rec := record(r, next)
	copyHeader(w, rec, rec.Body.Len())
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
}

func record(r *http.Request, next http.Handler) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}

func copyHeader(w http.ResponseWriter, rec *httptest.ResponseRecorder, length int) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(rec.Code)
}
