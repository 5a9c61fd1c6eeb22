package fault

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Half announces the real answer's length, sends half of it and ends the connection.
func Half() Fault { return Cut(0) }

// Cut announces the real answer's length, sends the first n bytes of it, half of them if n is 0, and ends the connection.
func Cut(n int64) Fault {
	return upTo(n, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// ResetAfter is Cut with a connection reset in place of an orderly end, where the connection is HTTP/1.
func ResetAfter(n int64) Fault {
	return upTo(n, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closing now resets
		}
		_ = conn.Close()
		panic(http.ErrAbortHandler)
	})
}

// Stall announces the real answer's length, sends half of it, and then nothing until the client leaves.
func Stall() Fault { return StallAfter(0) }

// StallAfter is Stall after n bytes.
func StallAfter(n int64) Fault {
	return upTo(n, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
}

// Short sends the first n bytes of the real answer, half of them if n is 0, as if that were all.
func Short(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		filter(w, r, next, func(b *body) func([]byte) error {
			left := place(n, b.total)
			if b.total < 0 {
				b.announce(-1)
			} else {
				b.announce(left)
			}
			return func(p []byte) error {
				p = p[:min(int64(len(p)), left)]
				left -= int64(len(p))
				return b.send(p)
			}
		})
	}
}

// Corrupt sends the real answer with its middle byte changed.
func Corrupt() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		filter(w, r, next, func(b *body) func([]byte) error {
			b.announce(b.total)
			at := b.total / 2
			return func(p []byte) error {
				if at >= 0 && at < int64(len(p)) {
					p = bytes.Clone(p)
					p[at] ^= 0x20
				}
				at -= int64(len(p))
				return b.send(p)
			}
		})
	}
}

// NoLength sends the real answer without saying how long it is.
func NoLength() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		filter(w, r, next, func(b *body) func([]byte) error {
			b.announce(-1)
			return b.send
		})
	}
}

// Trickle sends the real answer n bytes at a time, 1 at least, each after a pause.
func Trickle(n int64, pause time.Duration) Fault {
	n = max(n, 1)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		filter(w, r, next, func(b *body) func([]byte) error {
			b.announce(b.total)
			return func(p []byte) error {
				for len(p) > 0 {
					part := p[:min(n, int64(len(p)))]
					p = p[len(part):]
					if !wait(r, pause) {
						panic(http.ErrAbortHandler)
					}
					if err := b.send(part); err != nil {
						return err
					}
					b.flush()
				}
				return nil
			}
		})
	}
}

// upTo announces the real answer's length, sends n bytes of it and then does end, which must not return.
func upTo(n int64, end func(http.ResponseWriter, *http.Request)) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		filter(w, r, next, func(b *body) func([]byte) error {
			b.announce(b.total)
			left := place(n, b.total)
			return func(p []byte) error {
				p = p[:min(int64(len(p)), left)]
				left -= int64(len(p))
				err := b.send(p)
				if err == nil && left == 0 {
					b.flush()
					end(w, r)
				}
				return err
			}
		})
		_ = http.NewResponseController(w).Flush()
		end(w, r) // there was no body, as for HEAD
	}
}

// place is where in a body of total bytes something happens: after n of them, in the middle if n is 0.
func place(n, total int64) int64 {
	if total < 0 {
		return n
	}
	if n <= 0 {
		return total / 2
	}
	return min(n, total)
}

// body is an answer on its way through a filter.
type body struct {
	w      http.ResponseWriter
	status int
	total  int64                            // bytes of the real body, -1 if nobody can know; set before begin is called
	begin  func(b *body) func([]byte) error // says how the body passes, after it has called announce
	pass   func([]byte) error               // nil until begin was called
	held   bytes.Buffer                     // the body so far, where its length is not known
}

// filter has next answer r through a body.
func filter(w http.ResponseWriter, r *http.Request, next http.Handler, begin func(*body) func([]byte) error) {
	b := &body{w: w, begin: begin}
	next.ServeHTTP(b, r)
	if b.pass != nil {
		return
	}
	b.WriteHeader(http.StatusOK)
	if b.pass == nil {
		b.total = int64(b.held.Len())
		b.pass = begin(b)
		_ = b.pass(b.held.Bytes())
	}
}

func (b *body) Header() http.Header { return b.w.Header() }

func (b *body) WriteHeader(status int) {
	if b.status != 0 {
		return
	}
	b.status = status
	total, err := strconv.ParseInt(b.w.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		return // the body is held until its end is known
	}
	b.total = total
	b.pass = b.begin(b)
}

func (b *body) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	if b.pass == nil {
		return b.held.Write(p)
	}
	if err := b.pass(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush is what a handler does that sends a body of unknown length as it comes: nothing is held then.
func (b *body) Flush() {
	b.WriteHeader(http.StatusOK)
	if b.pass == nil {
		b.total = -1
		b.pass = b.begin(b)
		_ = b.pass(b.held.Bytes())
	}
	b.flush()
}

// announce sends the answer's header; a negative length is left out.
func (b *body) announce(length int64) {
	if length < 0 {
		b.w.Header().Del("Content-Length")
	} else {
		b.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	}
	b.w.WriteHeader(b.status)
	if length < 0 {
		b.flush() // else net/http finds out the length of a short body by itself
	}
}

func (b *body) send(p []byte) error {
	_, err := b.w.Write(p)
	return err
}

func (b *body) flush() { _ = http.NewResponseController(b.w).Flush() }
