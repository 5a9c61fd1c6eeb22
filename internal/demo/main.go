package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	program := flag.String("program", "bin/antares-actor", "the program to show")
	keep := flag.Bool("keep", false, "leave the temporary directory")
	flag.Parse()
	err := demo(ctx, *program, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: failed:", err)
		os.Exit(1)
	}
	fmt.Println("demo: all of it was right")
}

var errInterrupted = errors.New("interrupted")

// step is one thing that is shown. It returns what it found, for the user, or what is wrong.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

// demo runs the steps in order and stops at the first that fails.
func demo(ctx context.Context, program string, keep bool) (err error) {
	start := time.Now()
	s, err := newStage(ctx, program)
	if err != nil {
		return err
	}
	defer func() { err = s.close(keep, err) }()
	for _, st := range []step{
		{"serve", s.serve}, {"mount", s.mount},
		{"read", s.read}, {"touch", s.touch}, {"mkdir", s.mkdir}, {"echo >", s.write}, {"echo >>", s.appendBelow},
		{"sqlite", s.database}, {"go build", s.build}, {"git diff", s.compare},
		{"files", s.files}, {"unmount", s.unmount}, {"numbers", s.numbers},
	} {
		found, err := st.do(ctx)
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			return fmt.Errorf("%s: %w", st.name, err)
		}
		fmt.Printf("%-10s  %s\n", st.name, strings.ReplaceAll(found, "\n", "\n            "))
	}
	fmt.Printf("%-10s  %.1f s\n", "took", time.Since(start).Seconds())
	return nil
}
