package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The database's load: each insert is a transaction of its own.
const (
	writers = 4
	inserts = 100
)

const schema = `PRAGMA journal_mode=WAL;
CREATE TABLE entry (writer INTEGER, number INTEGER, PRIMARY KEY (writer, number));
SELECT 'ready';
`

// database runs SQLite in WAL mode, whose processes share a mapped file, with several writers at once.
func (s *stage) database(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, atWork)
	defer cancel()
	release, err := s.hold(ctx)
	if err != nil {
		return "", err
	}
	start := time.Now()
	err = s.insert(ctx)
	took := time.Since(start)
	if err == nil {
		err = s.inWAL(ctx)
	}
	if err := errors.Join(err, release()); err != nil {
		return "", err
	}
	if err := s.integrity(ctx); err != nil { // again, now that the log was written back
		return "", err
	}
	s.added = append(s.added, "demo.db")
	head, err := os.ReadFile(filepath.Join(s.upper, "demo.db"))
	if err != nil || !strings.HasPrefix(string(head), "SQLite format 3\x00") {
		return "", errors.Join(errors.New("no database in upper"), err)
	}
	return fmt.Sprintf("WAL mode, %d processes, %d transactions in %d ms; integrity_check ok", writers, writers*inserts, took.Milliseconds()), nil
}

// hold makes the database and keeps it open, since the last process to close it removes the log. It returns what lets go.
func (s *stage) hold(ctx context.Context) (func() error, error) {
	cmd := in(ctx, s.mnt, "exec sqlite3 -batch demo.db")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	release := func() error {
		err := stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		return errors.Join(err, cmd.Wait())
	}
	if _, err := io.WriteString(stdin, schema); err != nil {
		return nil, errors.Join(err, release())
	}
	var said []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if said = append(said, lines.Text()); lines.Text() == "ready" {
			break
		}
	}
	if strings.Join(said, " ") != "wal ready" {
		return nil, errors.Join(fmt.Errorf("sqlite3 made no database in WAL mode but said %q", said), release())
	}
	return release, nil
}

// insert runs the writers at the same time.
func (s *stage) insert(ctx context.Context) error {
	done := make(chan error, writers)
	for w := range writers {
		script := fmt.Sprintf(`seq %d | sed 's/.*/INSERT INTO entry VALUES(%d, &);/' | sqlite3 -batch -bail -cmd '.timeout 60000' demo.db`, inserts, w)
		go func() {
			_, err := shell(ctx, atWork, s.mnt, script)
			done <- err
		}()
	}
	var errs []error
	for range writers {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// inWAL checks the database while its log and its shared memory are there.
func (s *stage) inWAL(ctx context.Context) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		info, err := os.Stat(filepath.Join(s.upper, "demo.db"+suffix))
		if err != nil || info.Size() == 0 {
			return errors.Join(fmt.Errorf("demo.db%s is not in upper, or empty", suffix), err)
		}
	}
	return s.integrity(ctx)
}

func (s *stage) integrity(ctx context.Context) error {
	const script = `sqlite3 -batch -cmd '.timeout 60000' demo.db 'PRAGMA integrity_check; SELECT count(*) FROM entry;'`
	got, err := shell(ctx, briefly, s.mnt, script)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("ok\n%d", writers*inserts); got != want {
		return fmt.Errorf("integrity check and count are %q, want %q", got, want)
	}
	return nil
}
