package fault

import (
	"net/http"
	"time"
)

// Fault answers a request in place of next, or with its help.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Status answers this status without a body.
func Status(code int) Fault { return RetryAfter(code, "") }

// RetryAfter answers this status without a body, and says when to come again: a number of seconds, or an HTTP date.
func RetryAfter(code int, when string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if when != "" {
			w.Header().Set("Retry-After", when)
		}
		w.WriteHeader(code)
	}
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

// Hang answers nothing until the client leaves.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Hold has requests wait until a channel is closed.
func Hold(until <-chan struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-until:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Reset breaks the connection without an answer.
func Reset() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Delay answers late.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if wait(r, d) {
			next.ServeHTTP(w, r)
		}
	}
}

// wait tells whether the client is still there after d.
func wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
