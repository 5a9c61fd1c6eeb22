package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func init() { suites["pjdfstest"] = runPjdfstest }

// runPjdfstest runs all tests, or those of -args, by prove(1) in a directory of the contender.
func runPjdfstest(ctx context.Context, o *options, g *ground, name string) ([]outcome, error) {
	s, err := contenders[name](ctx, g)
	if err != nil {
		return nil, err
	}
	tests := strings.Fields(o.args)
	if len(tests) == 0 {
		tests = []string{"tests"}
	}
	for i := range tests {
		tests[i] = filepath.Join(o.path, tests[i])
	}
	text, _, late, err := g.limited(ctx, o.limit, s.root, nil, "prove", append([]string{"-rQ"}, tests...)...)
	out := parseProve(text)
	if late {
		out.failures = append(out.failures, "not done in time")
	}
	if err == nil && out.total == 0 {
		err = fmt.Errorf("no tests were run: %s", text)
	}
	if err == nil {
		err = s.stop()
	}
	return []outcome{out}, err
}

var (
	provedRE = regexp.MustCompile(`Files=\d+, Tests=(\d+)`)
	// "/path/tests/open/00.t (Wstat: 0 Tests: 47 Failed: 2)", and then "  Failed tests:  3, 7-9"
	fileRE   = regexp.MustCompile(`^(\S+)\s+\(Wstat: \d+.*Tests: \d+ Failed: (\d+)\)`)
	failedRE = regexp.MustCompile(`^\s+Failed tests?:\s+(.*)`)
)

// parseProve reads the summary.
func parseProve(text string) outcome {
	var out outcome
	failed := 0
	for line := range strings.Lines(text) {
		if m := provedRE.FindStringSubmatch(line); m != nil {
			out.total, _ = strconv.Atoi(m[1])
		}
		if m := fileRE.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[2])
			failed += n
			_, test, _ := strings.Cut(m[1], "/tests/")
			out.failures = append(out.failures, test)
		}
		if m := failedRE.FindStringSubmatch(line); m != nil && len(out.failures) > 0 {
			out.failures[len(out.failures)-1] += ": " + strings.TrimSpace(m[1])
		}
	}
	out.passed = out.total - failed
	return out
}
