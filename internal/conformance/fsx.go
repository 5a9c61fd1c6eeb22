package main

import (
	"context"
	"fmt"
	"strings"
)

func init() { suites["fsx"] = runFsx }

// runFsx has the program exercise one file a seed; each seed is a test.
func runFsx(ctx context.Context, o *options, g *ground, name string) ([]outcome, error) {
	s, err := contenders[name](ctx, g)
	if err != nil {
		return nil, err
	}
	out := outcome{variant: fmt.Sprintf("%d operations a seed", o.ops), total: o.seeds}
	for seed := 1; seed <= o.seeds; seed++ {
		args := append([]string{"-q", "-N", fmt.Sprint(o.ops), "-S", fmt.Sprint(seed), fmt.Sprint("fsx", seed)}, strings.Fields(o.args)...)
		text, code, late, err := g.limited(ctx, o.limit, s.root, nil, o.path, args...)
		if err != nil {
			return nil, err
		}
		if late || code != 0 || !strings.Contains(text, "completed A-OK") {
			out.failures = append(out.failures, fmt.Sprintf("seed %d: status %d, late %t: %s", seed, code, late, tail(text)))
			continue
		}
		out.passed++
	}
	return []outcome{out}, s.stop()
}

// tail is the last of what a program said.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
