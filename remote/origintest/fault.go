package origintest

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/remote/fault"
)

// Fault answers a request in place of next, or with its help.
type Fault = fault.Fault

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

// Status answers this status without a body. Package fault has this fault, those below, and more.
func Status(code int) Fault { return fault.Status(code) }

// Answer answers 200 with this content type and body.
func Answer(contentType, body string) Fault { return fault.Answer(contentType, body) }

// Page answers what a login page or a proxy would: 200 and HTML.
func Page() Fault { return fault.Page() }

// Half announces the real answer's length, sends half of it and breaks the connection.
func Half() Fault { return fault.Half() }

// Stall sends half of the real answer and then nothing until the client leaves.
func Stall() Fault { return fault.Stall() }

// Corrupt sends the real answer with its middle byte changed.
func Corrupt() Fault { return fault.Corrupt() }

// Hang answers nothing until the client leaves.
func Hang() Fault { return fault.Hang() }

// Reset breaks the connection without an answer.
func Reset() Fault { return fault.Reset() }

// Delay answers late.
func Delay(d time.Duration) Fault { return fault.Delay(d) }
