package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

func init() { suites["fsx"] = runFsx }

// runFsx has the program exercise one file a seed; each seed is a test.
func runFsx(ctx context.Context, o *options, g *ground, name string) ([]outcome, error) {
	s, err := contenders[name](ctx, g)
	if err != nil {
		return nil, err
	}
	out := outcome{variant: fmt.Sprintf("%d operations a seed", o.ops), total: o.seeds}
	said := make([]string, o.seeds)
	errs := make([]error, o.seeds)
	var all sync.WaitGroup
	places := make(chan struct{}, fsxAtOnce)
	for i := range said {
		all.Go(func() {
			places <- struct{}{}
			said[i], errs[i] = runSeed(ctx, o, g, s.root, i+1)
			<-places
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, text := range said {
		if text == "" {
			out.passed++
		} else {
			out.failures = append(out.failures, text)
		}
	}
	return []outcome{out}, s.stop()
}

// fsxAtOnce is how many seeds run at a time: they wait for the disk most of it.
const fsxAtOnce = 4

// runSeed returns what went wrong.
func runSeed(ctx context.Context, o *options, g *ground, dir string, seed int) (string, error) {
	args := []string{"-q", "-N", fmt.Sprint(o.ops), "-S", fmt.Sprint(seed), fmt.Sprint("fsx", seed)}
	text, code, late, err := g.limited(ctx, o.limit, dir, nil, o.path, append(args, strings.Fields(o.args)...)...)
	if err != nil || !late && code == 0 && strings.Contains(text, "completed A-OK") {
		return "", err
	}
	return fmt.Sprintf("seed %d: status %d, late %t: %s", seed, code, late, tail(text)), nil
}

// tail is the last of what a program said.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
