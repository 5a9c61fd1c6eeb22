package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// built is what `go build` leaves.
const built = "antares-actor"

// build builds antares-actor in the mount and beside it. See the package comment for what is measured.
func (s *stage) build(ctx context.Context) (string, error) {
	for _, dir := range []string{s.warmup, s.plain} {
		if err := s.checkOut(ctx, dir); err != nil {
			return "", err
		}
	}
	if _, err := goBuild(ctx, s.warmup); err != nil {
		return "", err
	}
	outside, err := goBuild(ctx, s.plain)
	if err != nil {
		return "", err
	}
	before, err := s.requests()
	if err != nil {
		return "", err
	}
	inside, err := goBuild(ctx, s.mnt)
	if err != nil {
		return "", err
	}
	after, err := s.requests()
	if err != nil {
		return "", err
	}
	s.added = append(s.added, built)
	version, err := shell(ctx, briefly, s.mnt, "./"+built+" version")
	if err != nil || !strings.HasPrefix(version, "antares-actor ") {
		return "", fmt.Errorf("what was built in the mount says %q: %w", version, err)
	}
	info, err := os.Stat(filepath.Join(s.upper, built))
	if err != nil {
		return "", err
	}
	outsideAgain, err := rebuild(ctx, s.plain)
	if err != nil {
		return "", err
	}
	insideAgain, err := rebuild(ctx, s.mnt)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.2f s in the mount, its sources fetched by %d requests, %.2f s outside; after an edit %.2f s and %.2f s\n"+
		"(both with the user's build cache: dependencies are in it, this module's packages are compiled)\n"+
		"the program, %d MB, is in upper and runs", inside, after-before, outside, insideAgain, outsideAgain, info.Size()>>20), nil
}

// checkOut puts the files that the mount shows into a plain directory, the appended line included.
func (s *stage) checkOut(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	archive := dir + ".tar"
	if _, err := output(ctx, "git", "--git-dir", s.git, "archive", "--output", archive, s.commit); err != nil {
		return err
	}
	if _, err := output(ctx, "tar", "--extract", "--file", archive, "--directory", dir); err != nil {
		return err
	}
	return appendTo(filepath.Join(dir, appended), appendedLine)
}

// rebuild changes a source file and builds again.
func rebuild(ctx context.Context, dir string) (float64, error) {
	script := fmt.Sprintf("printf '%%s' '%s' >> %s", appendedLine, appended)
	if _, err := shell(ctx, briefly, dir, script); err != nil {
		return 0, err
	}
	return goBuild(ctx, dir)
}

// goBuild returns the seconds that building took.
func goBuild(ctx context.Context, dir string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, atWork)
	defer cancel()
	cmd := in(ctx, dir, "exec go build ./cmd/antares-actor")
	// No revision in the program: the mount has none that go could ask for.
	cmd.Env = append(cmd.Env, "GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=off")
	start := time.Now()
	_, err := outputOf(ctx, cmd)
	return time.Since(start).Seconds(), err
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
