// Package worker is the near end of a process of the run: it tells the run how far it is, and learns when to stop.
//
// The protocol is lines. The process writes a Report every half second on standard output. On standard input it reads Go,
// after a cut, when the mount is there again; the end of the input means that it shall come to its end.
package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Go is the line that lets those go on who wait after a cut.
const Go = "go"

// Report is how far a process is.
type Report struct {
	Ready bool          // what it needs is made, and its work goes on
	Cuts  int           // how often it has seen that the mount is gone; it then waits for Go
	Ops   int64         // operations that were right
	Stall time.Duration // the longest that one of them took
}

// Job is what a process is to do.
type Job struct {
	Role string
	Root string // a directory of the mount
	Seed uint64
	Cuts bool     // the mount may go away: see Worker.Cut
	Args []string // further ones of the role
}

// Worker is one process's end.
type Worker struct {
	Job

	ops   atomic.Int64
	stall atomic.Int64
	stop  chan struct{}
	goOn  chan struct{}

	mu    sync.Mutex // held to write out
	ready bool
	cuts  int
	out   *json.Encoder
}

const interval = 500 * time.Millisecond

// Start begins to report on out and to listen on in.
func Start(job Job, in io.Reader, out io.Writer) *Worker {
	w := &Worker{Job: job, stop: make(chan struct{}), goOn: make(chan struct{}, 1), out: json.NewEncoder(out)}
	go w.listen(in)
	go func() {
		for range time.Tick(interval) {
			w.Report()
		}
	}()
	return w
}

func (w *Worker) listen(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if lines.Text() == Go {
			w.goOn <- struct{}{}
		}
	}
	close(w.stop)
}

// Report tells how far it is, at once.
func (w *Worker) Report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report()
}

func (w *Worker) report() {
	r := Report{Ready: w.ready, Cuts: w.cuts, Ops: w.ops.Load(), Stall: time.Duration(w.stall.Load())}
	if err := w.out.Encode(r); err != nil { // the run is gone
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// Ready says that what is needed was made.
func (w *Worker) Ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = true
	w.report()
}

// Did counts an operation that was right, and how long it took.
func (w *Worker) Did(took time.Duration) {
	w.ops.Add(1)
	if int64(took) > w.stall.Load() {
		w.stall.Store(int64(took))
	}
}

// Ops returns how many operations were counted.
func (w *Worker) Ops() int64 { return w.ops.Load() }

// Stopped tells whether it shall come to its end.
func (w *Worker) Stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// Stop is closed when it shall come to its end.
func (w *Worker) Stop() <-chan struct{} { return w.stop }

// Gone tells whether an error says that the mount is gone, as it may.
func (w *Worker) Gone(err error) bool {
	return w.Cuts && (errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED))
}

// Away tells whether the mount is gone, by asking it for what is never cached.
func (w *Worker) Away() bool {
	var st unix.Statfs_t
	return w.Gone(unix.Statfs(w.Root, &st))
}

// Cut says that the mount is gone, and returns when there is one again, or with an error when the run ends before.
func (w *Worker) Cut() error {
	w.mu.Lock()
	w.cuts++
	w.report()
	w.mu.Unlock()
	select {
	case <-w.goOn:
		return nil
	case <-w.stop:
		return errors.New("the run ended before there was a mount again")
	}
}
