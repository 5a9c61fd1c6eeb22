package gitrepo

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// errDied reports a process that ended before it had answered; a fresh one may do better.
var errDied = errors.New("git cat-file ended")

// grandchildren is how long a git that has ended is waited for because of what it started, a lazy fetch say, that holds its
// standard streams.
const grandchildren = time.Second

// process is one running `git cat-file --batch-command`. Whoever took it from the pool is its only user.
type process struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File // its deadline is how a cancelled request gets away
	buf    *bufio.Reader
	stderr *tail
	exited chan struct{} // closed once the process is reaped

	// Where in an answer the process is; its user's.
	waiting bool  // a request was written and its header not read
	bodies  bool  // that request's answer has a body
	left    int64 // bytes of the body, its final line feed included, that were not read
	broken  bool  // it died or made no sense: no further request
}

// startProcess starts one on the spawner's thread.
func startProcess(sp *spawner, git string, env []string) (*process, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("gitrepo: start git: %w", err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		_ = inR.Close()
		_ = inW.Close()
		return nil, fmt.Errorf("gitrepo: start git: %w", err)
	}
	p := &process{in: inW, out: outR, buf: bufio.NewReaderSize(outR, 64<<10), stderr: &tail{}, exited: make(chan struct{})}
	p.cmd = exec.Command(git, "cat-file", "--batch-command")
	p.cmd.Dir, p.cmd.Env = "/", env
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inR, outW, p.stderr
	p.cmd.WaitDelay = grandchildren
	err = sp.start(p.cmd)
	_ = inR.Close()
	_ = outW.Close()
	if err != nil {
		_ = inW.Close()
		_ = outR.Close()
		return nil, fmt.Errorf("gitrepo: start git: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended does not matter: its user sees the pipe's end
		close(p.exited)
	}()
	return p, nil
}

// kill ends the process and waits until it is reaped, so that it can neither linger nor become a zombie.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.in.Close()
	<-p.exited
	_ = p.out.Close()
}

func (p *process) dead() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// header is the first line of an answer.
type header struct {
	id   object.ID
	kind object.Kind
	size int64
}

// ask writes one request line and reads the answer's header; an object that is not there is remote.ErrNotFound.
// Command is "info", or "contents" for an answer with a body.
func (p *process) ask(command, name string) (header, error) {
	p.waiting, p.bodies = true, command == "contents"
	if _, err := p.in.WriteString(command + " " + name + "\n"); err != nil {
		return header{}, p.died(err)
	}
	return p.readHeader(name)
}

// askAll is ask("info") for many objects at once; one that is not there has a zero header. A process that is left in the
// middle of it cannot be used again.
func (p *process) askAll(ids []object.ID) ([]header, error) {
	p.broken, p.bodies = true, false
	var lines bytes.Buffer
	for _, id := range ids {
		lines.WriteString("info " + id.String() + "\n")
	}
	if _, err := p.in.Write(lines.Bytes()); err != nil {
		return nil, p.died(err)
	}
	headers := make([]header, len(ids))
	for i, id := range ids {
		var err error
		if headers[i], err = p.readHeader(id.String()); err != nil && !errors.Is(err, remote.ErrNotFound) {
			return nil, err
		}
	}
	p.broken = false
	return headers, nil
}

func (p *process) readHeader(name string) (header, error) {
	line, err := p.buf.ReadSlice('\n')
	if err != nil {
		p.broken = len(line) > 0 // a line cut by a deadline cannot be resumed; git writes it in one piece
		return header{}, p.died(err)
	}
	p.waiting = false
	text := string(bytes.TrimSuffix(line, []byte("\n")))
	if strings.HasSuffix(text, " missing") || strings.HasSuffix(text, " ambiguous") {
		return header{}, fmt.Errorf("gitrepo: %s: %w", name, remote.ErrNotFound)
	}
	h, err := parseHeader(text)
	if err != nil {
		p.broken = true
		return header{}, fmt.Errorf("gitrepo: %s: %w: %w", name, remote.ErrBadAnswer, err)
	}
	if p.bodies {
		p.left = h.size + 1
	}
	return h, nil
}

// parseHeader reads "<id> <kind> <size>".
func parseHeader(text string) (header, error) {
	f := strings.Fields(text)
	if len(f) != 3 {
		return header{}, fmt.Errorf("header %.80q", text)
	}
	if len(f[0]) == sha256.Size*2 {
		return header{}, errors.New("the repository uses SHA-256 object ids, which are not supported")
	}
	id, err := object.Parse(f[0])
	if err != nil {
		return header{}, err
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 {
		return header{}, fmt.Errorf("header %.80q", text)
	}
	return header{id: id, kind: object.Kind(f[1]), size: size}, nil
}

// body reads the rest of an answer into memory.
func (p *process) body() ([]byte, error) {
	b := make([]byte, p.left)
	n, err := io.ReadFull(p.buf, b)
	p.left -= int64(n)
	if err != nil {
		return nil, p.died(err)
	}
	return b[:n-1], nil // without the line feed that ends each answer
}

// answered tells whether the last answer was read in full, so that the next request may be written.
func (p *process) answered() bool { return !p.waiting && p.left == 0 }

// died turns a failed read or write into what its user is told. A passed deadline is our own doing, not a death.
func (p *process) died(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	p.broken = true
	_ = p.cmd.Process.Kill()
	<-p.exited // only then is stderr complete
	if said := p.stderr.lastLine(); said != "" {
		return fmt.Errorf("gitrepo: %w: %w: %s", remote.ErrUnavailable, errDied, said)
	}
	return fmt.Errorf("gitrepo: %w: %w: %w", remote.ErrUnavailable, errDied, err)
}

// tail keeps the last bytes that a process wrote to its stderr: git says what is wrong and exits.
type tail struct {
	mu  sync.Mutex // exec's copying goroutine writes, the process's user reads
	buf []byte     // guarded by mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - 4096; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
