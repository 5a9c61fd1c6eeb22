package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// maxDrain is how much of an unwanted answer is read away to keep a process. Starting one costs about 2 ms, in which
	// a pipe carries a few MiB.
	maxDrain = 1 << 20
	// drainTime bounds reading it away: git may be inflating something large.
	drainTime = 2 * time.Second
)

// errClosed reports a request after Close.
var errClosed = errors.New("the repository is closed")

// pool hands out processes. A request holds one of the slots while it talks to a process; idle processes wait for the
// next one. Streams hold a process but no slot.
type pool struct {
	git     string
	env     []string
	spawner *spawner
	slots   chan struct{} // a token per request under way
	idle    chan *process // ready for a request, nobody's
	closing chan struct{} // closed by close

	mu     sync.Mutex            // guards live and closed; taken only when processes start and end
	live   map[*process]struct{} // every process not yet dropped
	closed bool
	drains sync.WaitGroup // goroutines reading unwanted answers away; Add under mu
}

func newPool(git string, env []string) *pool {
	n := min(max(runtime.GOMAXPROCS(0), 2), 8)
	return &pool{
		git: git, env: env, spawner: newSpawner(),
		slots: make(chan struct{}, n), idle: make(chan *process, n),
		closing: make(chan struct{}), live: make(map[*process]struct{}),
	}
}

// do runs one request on a process: use asks and reads the answer. A process that died before or during it is replaced
// and use runs once more, on a fresh one. When use returns a nil error and keep, it took the process over (a stream).
func (pl *pool) do(ctx context.Context, use func(*process) (keep bool, err error)) error {
	select {
	case pl.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-pl.closing:
		return errClosed
	}
	defer func() { <-pl.slots }()
	err := pl.once(ctx, pl.take, use)
	if errors.Is(err, errDied) && ctx.Err() == nil {
		err = pl.once(ctx, pl.start, use) // not an idle one: they may all have been killed
	}
	return err
}

// once runs one request on the process that take gives, and decides what becomes of the process.
func (pl *pool) once(ctx context.Context, take func() (*process, error), use func(*process) (bool, error)) error {
	if err := ctx.Err(); err != nil { // bind's interruption could come after a quick answer
		return fmt.Errorf("gitrepo: %w", err)
	}
	p, err := take()
	if err != nil {
		return err
	}
	release := p.bind(ctx)
	keep, err := use(p)
	release()
	switch {
	case err == nil && keep:
		return nil
	case p.broken:
		pl.drop(p)
	case p.answered():
		pl.put(p)
	default:
		pl.later(p)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // only bind sets deadlines
		return fmt.Errorf("gitrepo: %w", ctx.Err())
	}
	return err
}

// take returns an idle process or a new one.
func (pl *pool) take() (*process, error) {
	for {
		select {
		case p := <-pl.idle:
			if p.dead() {
				pl.drop(p)
				continue
			}
			return p, nil
		default:
			return pl.start()
		}
	}
}

func (pl *pool) start() (*process, error) {
	pl.mu.Lock()
	defer pl.mu.Unlock() // also keeps close from ending the spawner meanwhile
	if pl.closed {
		return nil, errClosed
	}
	p, err := startProcess(pl.spawner, pl.git, pl.env)
	if err != nil {
		return nil, err
	}
	pl.live[p] = struct{}{}
	return p, nil
}

// put returns a process that has answered in full; where there is no room it ends.
func (pl *pool) put(p *process) {
	select {
	case pl.idle <- p:
	default:
		pl.drop(p)
	}
}

// drop ends a process for good.
func (pl *pool) drop(p *process) {
	p.kill()
	pl.mu.Lock()
	delete(pl.live, p)
	pl.mu.Unlock()
}

// later reads the rest of an unwanted answer away, and then keeps the process or drops it.
func (pl *pool) later(p *process) {
	pl.mu.Lock()
	if pl.closed { // close has killed it: nothing to keep
		pl.mu.Unlock()
		return
	}
	pl.drains.Add(1)
	pl.mu.Unlock()
	go func() {
		defer pl.drains.Done()
		_ = p.out.SetReadDeadline(time.Now().Add(drainTime))
		if p.drain() != nil || p.out.SetReadDeadline(time.Time{}) != nil {
			pl.drop(p)
			return
		}
		pl.put(p)
	}()
}

// close kills every process, those of open streams too, and waits until all are reaped.
func (pl *pool) close() {
	pl.mu.Lock()
	if pl.closed {
		pl.mu.Unlock()
		return
	}
	pl.closed = true
	close(pl.closing)
	live := pl.live
	pl.live = make(map[*process]struct{})
	pl.mu.Unlock()
	for p := range live {
		p.kill()
	}
	pl.drains.Wait()
	pl.spawner.close()
}

// bind makes ctx's end interrupt reads from p, until release is called. release waits for an interruption that is
// under way, so that it cannot hit the process's next user.
func (p *process) bind(ctx context.Context) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = p.out.SetReadDeadline(time.Unix(1, 0))
		close(done)
	})
	return func() {
		if !stop() {
			<-done
			_ = p.out.SetReadDeadline(time.Time{})
		}
	}
}

// drain reads what is left of an answer away, unless starting a new process is cheaper.
func (p *process) drain() error {
	if p.waiting {
		if _, err := p.readHeader("cancelled request"); err != nil && p.broken {
			return err
		}
	}
	if p.left > maxDrain {
		return errDied
	}
	n, err := io.CopyN(io.Discard, p.buf, p.left)
	p.left -= n
	return err
}
