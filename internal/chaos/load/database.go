package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

const (
	reopen  = 80 // transactions of one sqlite3 process
	checked = 40 // transactions between two checks
)

// database writes rows of its own into a table that it shares with other processes. A row counts when sqlite3 has
// acknowledged the commit.
type database struct {
	w     *worker.Worker
	id    int
	acked int // rows 1 to this one are committed
	shell *shell
}

// Database makes transactions in WAL mode, with synchronous=FULL; its argument is its number among those that do.
func Database(w *worker.Worker) error {
	id, err := strconv.Atoi(w.Args[0])
	if err != nil {
		return err
	}
	d := &database{w: w, id: id}
	err = rounds(w, func(int) error { return d.session() })
	return errors.Join(err, d.final())
}

// session is one sqlite3 process.
func (d *database) session() (err error) {
	if d.shell, err = openShell(d.w.Root); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.shell.close()) }()
	if _, err := d.shell.ask("CREATE TABLE IF NOT EXISTS t (w INT, i INT, text TEXT, PRIMARY KEY (w, i));" +
		"CREATE TABLE IF NOT EXISTS sums (w INT PRIMARY KEY, n INT);" + fmt.Sprintf("INSERT OR IGNORE INTO sums VALUES (%d, 0);", d.id)); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	for range reopen {
		if d.w.Stopped() {
			break
		}
		begun := time.Now()
		next := d.acked + 1
		if _, err := d.shell.ask(fmt.Sprintf("BEGIN IMMEDIATE; INSERT INTO t VALUES (%d, %d, '%s'); UPDATE sums SET n = n + 1 WHERE w = %[1]d; COMMIT;",
			d.id, next, text(d.id, next))); err != nil {
			return err
		}
		d.acked = next
		d.w.Did(time.Since(begun))
		if next%checked == 0 {
			if err := d.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// check looks for every acknowledged row. After the mount went away there may be one more.
func (d *database) check() error {
	got, err := d.shell.ask(fmt.Sprintf("PRAGMA integrity_check; SELECT count(*), coalesce(max(i), 0) FROM t WHERE w = %d; SELECT n FROM sums WHERE w = %[1]d;", d.id))
	if err != nil {
		return err
	}
	for _, rows := range []int{d.acked, d.acked + 1} {
		if got == fmt.Sprintf("ok\n%d|%d\n%d\n", rows, rows, rows) && (rows == d.acked || d.w.Cuts) {
			d.acked = rows
			return nil
		}
	}
	return fmt.Errorf("after %d acknowledged transactions the database says %q", d.acked, got)
}

// final compares every row.
func (d *database) final() (err error) {
	if d.shell, err = openShell(d.w.Root); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.shell.close()) }()
	if err := d.check(); err != nil {
		return err
	}
	got, err := d.shell.ask(fmt.Sprintf("SELECT i, text FROM t WHERE w = %d ORDER BY i;", d.id))
	if err != nil {
		return err
	}
	i := 0
	for line := range strings.Lines(got) {
		i++
		if want := fmt.Sprintf("%d|%s\n", i, text(d.id, i)); line != want {
			return fmt.Errorf("row %d is %.60q, want %.60q", i, line, want)
		}
	}
	if i != d.acked {
		return fmt.Errorf("%d rows, want %d", i, d.acked)
	}
	return nil
}

// text is what a row has: some hundred bytes, or pages.
func text(id, i int) string {
	r := rand.New(rand.NewPCG(uint64(id), uint64(i)))
	n := 40 + r.IntN(200)
	if i%20 == 0 {
		n = 6000
	}
	return fmt.Sprintf("%x", model.Bytes(r, n))
}

// shell is a sqlite3 process that is asked and answers.
type shell struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// told is what sqlite3 prints after each answer.
const told = "-- told"

// openShell starts sqlite3. When two processes change a new database to WAL at once, SQLite refuses one of them without waiting.
func openShell(root string) (s *shell, err error) {
	for range 50 {
		if s, err = startShell(root); err == nil || !strings.Contains(err.Error(), "locked") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return s, err
}

func startShell(root string) (*shell, error) {
	s := &shell{cmd: exec.Command("sqlite3", "-bail", "-batch", filepath.Join(root, "chaos.db"))}
	s.cmd.Stderr = &s.stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.in, s.out = in, bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	got, err := s.ask(".timeout 100000\nPRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
	if err == nil && got != "wal\n" {
		err = fmt.Errorf("sqlite3 says %q to journal_mode=WAL", got)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// ask returns what sqlite3 prints to some SQL.
func (s *shell) ask(sql string) (string, error) {
	if _, err := io.WriteString(s.in, sql+"\n.print "+told+"\n"); err != nil {
		return "", fmt.Errorf("sqlite3: %w", err)
	}
	var answer strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("sqlite3 ended: %w", err)
		}
		if line == told+"\n" {
			return answer.String(), nil
		}
		answer.WriteString(line)
	}
}

// close ends it, and says what it complained about.
func (s *shell) close() error {
	_ = s.in.Close()
	_, _ = io.Copy(io.Discard, s.out)
	if err := s.cmd.Wait(); err != nil || s.stderr.Len() > 0 {
		return fmt.Errorf("sqlite3: %w %s", err, &s.stderr)
	}
	return nil
}
