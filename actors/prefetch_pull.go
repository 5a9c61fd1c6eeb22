package actors

import "context"

// pulls is how many objects a warming or a replay has in line and under way: enough for all places, and few enough that what
// walks fetch ahead does not wait behind them for long.
const pulls = 128

// puller fetches many objects that nobody waits for, for one goroutine, which owns it and handles what comes.
type puller struct {
	core *core
	out  map[*fetch]func(outcome)
	line []pull // more than pulls
	came chan pulled
}

type pull struct {
	msg  *fetch
	then func(outcome)
}

type pulled struct {
	msg     *fetch
	outcome outcome
}

func newPuller(c *core) *puller {
	return &puller{core: c, out: make(map[*fetch]func(outcome)), came: make(chan pulled, pulls)}
}

// ask has the loader fetch something. Then is called by wait.
func (p *puller) ask(m *fetch, then func(outcome)) {
	if len(p.out) == pulls {
		p.line = append(p.line, pull{m, then})
		return
	}
	m.Source, m.Ahead = p.core.source, true
	m.Done = func(o outcome) { p.came <- pulled{m, o} } // there is room: no more are out
	p.out[m] = then
	p.core.loader.Tell(m)
}

// busy tells whether no more should be asked for before something has come.
func (p *puller) busy() bool { return len(p.out) == pulls }

// wait handles one answer.
func (p *puller) wait(ctx context.Context) error {
	select {
	case c := <-p.came:
		then := p.out[c.msg]
		delete(p.out, c.msg)
		if len(p.line) > 0 {
			next := p.line[0]
			p.line = p.line[1:]
			p.ask(next.msg, next.then)
		}
		then(c.outcome)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.core.ctx.Done():
		return ErrUnmounted
	}
}

// stop takes back what is under way.
func (p *puller) stop() {
	all := make([]waiter, 0, len(p.out))
	for m := range p.out {
		all = append(all, m)
	}
	p.core.loader.Tell(&abandon{Waiters: all})
}
