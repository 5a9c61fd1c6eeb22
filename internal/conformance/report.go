package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// outcome is how a suite, or a variant of it, went on a contender.
type outcome struct {
	contender string
	variant   string // of the suite; "" if it has one only
	passed    int
	total     int
	skipped   int
	failures  []string
	took      time.Duration
}

// suites by name. A suite runs on the contender of that name.
var suites = map[string]func(ctx context.Context, o *options, g *ground, contender string) ([]outcome, error){}

func suiteNames() []string { return slices.Sorted(maps.Keys(suites)) }

// report prints a table of all, and what failed.
func report(ctx context.Context, w io.Writer, o *options, outcomes []outcome) {
	kernel, _ := command(ctx, "uname", "-r")
	version, _ := command(ctx, "sh", "-c", "fuse-overlayfs --version 2>/dev/null | grep -m 1 '^fuse-overlayfs'")
	fmt.Fprintf(w, "%s, %s, Linux %s, %s\n\n", o.suite, time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(kernel), strings.TrimSpace(version))
	fmt.Fprintln(w, "| variant | file system | passed | failed | not run | time |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, out := range outcomes {
		fmt.Fprintf(w, "| %s | %s | %d of %d | %d | %d | %.0f s |\n", out.variant, out.contender, out.passed, out.total, out.total-out.passed, out.skipped, out.took.Seconds())
	}
	fmt.Fprintln(w)
	printOutcomes(w, outcomes)
}

// printOutcomes prints what failed.
func printOutcomes(w io.Writer, outcomes []outcome) {
	for _, out := range outcomes {
		fmt.Fprintf(w, "%s %s: %d of %d passed\n", out.contender, out.variant, out.passed, out.total)
		for _, f := range out.failures {
			fmt.Fprintf(w, "    %s\n", f)
		}
	}
}
