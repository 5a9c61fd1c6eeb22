package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func init() { suites["xfstests"] = runXfstests }

// xfsGroup is what runs unless -args names tests. Each test runs by itself, so that one that hangs does not take others with it.
const (
	xfsGroup = "generic/quick"
	xfsLimit = 5 * time.Minute // for a test
)

// xfsUsers are users that some tests run programs as, by file of /etc.
var xfsUsers = map[string]string{
	"passwd": "fsgqa:x:5001:5001::/:/bin/bash\nfsgqa2:x:5002:5002::/:/bin/bash\n123456-fsgqa:x:5003:5003::/:/bin/bash\n",
	"shadow": "fsgqa:*:20000::::::\nfsgqa2:*:20000::::::\n123456-fsgqa:*:20000::::::\n",
	"group":  "fsgqa:x:5001:\nfsgqa2:x:5002:\n123456-fsgqa:x:5003:\n",
}

// xfstests is the suite set up for one contender.
type xfstests struct {
	o     *options
	g     *ground
	flags []string // of its check script
	env   []string
	undo  []func()
}

func runXfstests(ctx context.Context, o *options, g *ground, name string) ([]outcome, error) {
	if name == fuseName { // up to 1.10 it ignores fsname, by which the suite tells its two mounts apart
		return []outcome{{variant: xfsGroup + ", cannot run"}}, nil
	}
	x := &xfstests{o: o, g: g}
	defer func() {
		for _, step := range slices.Backward(x.undo) {
			step()
		}
	}()
	if err := x.setUp(ctx, name); err != nil {
		return nil, err
	}
	tests := strings.Fields(o.args)
	if len(tests) == 0 {
		text, _, _, err := g.limited(ctx, xfsLimit, o.path, x.env, "./check", append(x.flags, "-n", "-g", xfsGroup)...)
		if err != nil {
			return nil, err
		}
		if tests = regexp.MustCompile(`(?m)^generic/\d+`).FindAllString(text, -1); len(tests) == 0 {
			return nil, fmt.Errorf("the group %s is empty: %s", xfsGroup, text)
		}
	}
	out := outcome{variant: xfsGroup}
	began := time.Now()
	for _, test := range tests {
		if time.Since(began) > o.limit {
			out.failures = append(out.failures, test+" was not reached in time")
			continue
		}
		if err := x.one(ctx, test, &out); err != nil {
			return nil, err
		}
	}
	return []outcome{out}, nil
}

// one runs a test and adds how it ended.
func (x *xfstests) one(ctx context.Context, test string, out *outcome) error {
	text, _, late, err := x.g.limited(ctx, xfsLimit, x.o.path, x.env, "./check", append(slices.Clone(x.flags), test)...)
	if err != nil {
		return err
	}
	ran, notRun, failed := parseCheck(text)
	switch {
	case late:
		ran, failed = []string{test}, []string{test + " hangs"}
	case len(ran) == 0:
		return fmt.Errorf("check ran nothing: %s", text)
	}
	out.skipped += len(notRun)
	out.total += len(ran) - len(notRun)
	out.passed += len(ran) - len(notRun) - len(failed)
	out.failures = append(out.failures, failed...)
	fmt.Fprintf(os.Stderr, "%s: %d of %d, failed: %s\n", test, out.passed, out.total, strings.Join(failed, " "))
	return nil
}

// parseCheck reads the last lines of the check script's output.
func parseCheck(text string) (ran, notRun, failed []string) {
	for line := range strings.Lines(text) {
		name, list, _ := strings.Cut(line, ": ")
		switch name {
		case "Ran":
			ran = strings.Fields(list)
		case "Not run":
			notRun = strings.Fields(list)
		case "Failures":
			failed = strings.Fields(list)
		}
	}
	return ran, notRun, failed
}

func (x *xfstests) setUp(ctx context.Context, name string) error {
	dir, err := x.g.fresh("test", "scratch", "results", "layers")
	if err != nil {
		return err
	}
	x.env = []string{
		"HOST_OPTIONS=" + filepath.Join(dir, "none"), "RESULT_BASE=" + x.results(dir, name), "FSTYP=ext4",
		"TEST_DIR=" + dir + "/test", "SCRATCH_MNT=" + dir + "/scratch",
	}
	if err := errors.Join(os.WriteFile(dir+"/none", nil, 0o644), x.addUsers("passwd"), x.addUsers("shadow"), x.addUsers("group")); err != nil {
		return err
	}
	if name == oursName {
		return x.onFuse(dir, name)
	}
	if name == overlayName {
		x.flags = []string{"-overlay"}
	}
	for _, role := range []string{"TEST", "SCRATCH"} {
		image, err := x.g.image(ctx, fmt.Sprintf("%s-%s.img", name, role), "ext4", x.o.size)
		if err != nil {
			return err
		}
		device, err := command(ctx, "losetup", "--find", "--show", image)
		if err != nil {
			return err
		}
		device = strings.TrimSpace(device)
		x.undo = append(x.undo, func() { _, _ = command(context.WithoutCancel(ctx), "losetup", "--detach", device) })
		x.env = append(x.env, role+"_DEV="+device)
	}
	return nil
}

// results is where the suite writes what it saw.
func (x *xfstests) results(dir, name string) string {
	if x.o.logs == "" {
		return filepath.Join(dir, "results")
	}
	return filepath.Join(x.o.logs, name)
}

// onFuse has the suite mount by the contender's type.
func (x *xfstests) onFuse(dir, name string) error {
	x.env = append(x.env, "FSTYP=fuse", "FUSE_SUBTYP=."+name)
	// The suite looks up the type of what it has mounted, and knows FUSE without subtypes only.
	df, err := exec.LookPath("df")
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\n%s \"$@\" | sed 's/ fuse\\.[a-z-]* / fuse /'\n", df)
	if err := os.WriteFile(filepath.Join(x.g.bin, "df"), []byte(script), 0o755); err != nil {
		return err
	}
	x.undo = append(x.undo, func() { _ = os.Remove(filepath.Join(x.g.bin, "df")) })
	for role, variable := range map[string]string{"test": "TEST_FS_MOUNT_OPTS", "scratch": "MOUNT_OPTIONS"} {
		layers := filepath.Join(dir, "layers", role)
		for _, name := range []string{"", "lower", "upper", "work"} {
			if err := os.Mkdir(filepath.Join(layers, name), 0o755); err != nil {
				return err
			}
		}
		x.env = append(x.env, strings.ToUpper(role)+"_DEV=conformance-"+role,
			fmt.Sprintf("%s=-olowerdir=%[2]s/lower,upperdir=%[2]s/upper,workdir=%[2]s/work,allow_other,dev,suid", variable, layers))
	}
	return nil
}

// addUsers covers a file of /etc, in this mount namespace, by a copy that has the suite's users too.
func (x *xfstests) addUsers(name string) error {
	path := "/etc/" + name
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.Contains(string(text), "fsgqa") {
		return nil
	}
	covered := filepath.Join(x.g.scratch, name)
	if err := os.WriteFile(covered, append(text, xfsUsers[name]...), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(covered, path, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", path, err)
	}
	x.undo = append(x.undo, func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	return nil
}
