package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func init() { suites["unionmount"] = runUnionmount }

// unionLimit is for one of its tests; all of them take seconds.
const unionLimit = 2 * time.Minute

// unionVariants are the arguments of its run script but for what names the file system.
var unionVariants = [][]string{{"--ov"}, {"--ov", "--verify"}, {"--ov", "--xdev"}, {"--ov=2"}, {"--ov=2", "--verify"}}

// runUnionmount runs each test by itself, since the first that fails ends a run.
func runUnionmount(ctx context.Context, o *options, g *ground, name string) ([]outcome, error) {
	if name == plainName { // these tests are about layers
		return nil, nil
	}
	var outs []outcome
	for _, variant := range unionVariants {
		out := outcome{variant: strings.Join(variant, " ")}
		tests, err := unionTests(o, slices.Contains(variant, "--xdev"))
		if err != nil {
			return nil, err
		}
		for _, test := range tests {
			said, err := runUnionTest(ctx, o, g, name, variant, test)
			if err != nil {
				return nil, err
			}
			out.total++
			if said == "" {
				out.passed++
			} else {
				out.failures = append(out.failures, test+": "+said)
			}
		}
		outs = append(outs, out)
	}
	return outs, nil
}

// unionTestRE finds the names of tests in the run script, one a line.
var unionTestRE = regexp.MustCompile(`(?m)^\s+"([a-z][a-z0-9-]*)",?\s*$`)

// unionTests lists the tests as the run script would: rename-exdev takes the place of those that rename directories.
func unionTests(o *options, xdev bool) ([]string, error) {
	if o.args != "" {
		return strings.Fields(o.args), nil
	}
	script, err := os.ReadFile(filepath.Join(o.path, "run"))
	if err != nil {
		return nil, err
	}
	var tests []string
	for _, m := range unionTestRE.FindAllStringSubmatch(string(script), -1) {
		renames := slices.Contains([]string{"rename-dir", "rename-empty-dir", "rename-pop-dir", "rename-move-dir"}, m[1])
		if m[1] == "rename-exdev" && !xdev || renames && xdev {
			continue
		}
		tests = append(tests, m[1])
	}
	return tests, nil
}

// runUnionTest runs one test with its layers on the ground, and returns what it said if it failed.
func runUnionTest(ctx context.Context, o *options, g *ground, name string, variant []string, test string) (string, error) {
	base, err := g.fresh()
	if err != nil {
		return "", err
	}
	args := []string{variant[0]}
	if name != overlayName {
		args = append(args, "--fuse="+name)
	}
	args = append(append(args, variant[1:]...), test)
	env := []string{"UNIONMOUNT_BASEDIR=" + base, "PYTHONDONTWRITEBYTECODE=1"}
	switch {
	case name != oursName:
	case slices.Contains(variant, "--xdev"): // the default of overlayfs only, which the script knows
		env = append(env, "UNIONMOUNT_MNTOPTIONS=redirect_dir=off")
	case slices.Contains(variant, "--verify"): // it looks into upper between open and write
		env = append(env, "UNIONMOUNT_MNTOPTIONS=copy_up_on_open")
	}
	text, code, late, err := g.limited(ctx, unionLimit, o.path, env, "./run", args...)
	// The script leaves the union mounted.
	if _, cleanErr := command(ctx, "sh", "-c", fmt.Sprintf("while umount %s/m 2>/dev/null; do :; done", base)); err == nil {
		err = cleanErr
	}
	if err == nil {
		err = os.RemoveAll(base)
	}
	switch {
	case err != nil:
		return "", err
	case late:
		return "not done in time", nil
	case code != 0:
		return tail(text), nil
	}
	return "", nil
}
