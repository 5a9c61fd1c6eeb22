package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	cases := []struct {
		name string
		args string
		want func(options) bool
	}{
		{"the defaults are everything", "", func(o options) bool {
			return o.rounds == 5 && o.corpus == defaultCorpus &&
				len(o.workloads) == len(workloads()) && len(o.contenders) == len(contenders()) && len(o.grounds) == 2
		}},
		{"-quick is small", "-quick", func(o options) bool {
			return o.rounds == 1 && o.corpus == "synthetic" && !slices.Contains(o.workloads, "go-build") && o.scale().FileMiB < 16
		}},
		{"-quick yields to flags", "-quick -rounds 3 -corpus dir:/x -workloads go-build", func(o options) bool {
			return o.rounds == 3 && o.corpus == "dir:/x" && slices.Equal(o.workloads, []string{"go-build"})
		}},
		{"contenders keep their order, extras come last", "-contenders overlayfs,plain -extra me=prog", func(o options) bool {
			c := o.chosen()
			return len(c) == 3 && c[0].name == "overlayfs" && c[1].name == "plain" && c[2].name == "me"
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o, err := parseOptions(strings.Fields(c.args), io.Discard)
			if err != nil || !c.want(o) {
				t.Errorf("options %+v, %v", o, err)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-contenders plain,zfs": `unknown name "zfs"`,
		"-workloads nap":        `unknown name "nap"`,
		"-grounds xfs":          `unknown name "xfs"`,
		"-rounds 0":             "at least 1",
		"-extra prog":           "NAME=COMMAND",
		"run":                   `unexpected argument "run"`,
	} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v; want %q", args, err, want)
		}
	}
}

func TestUndoRunsBackwardsAndCarriesOn(t *testing.T) {
	var u undo
	var order []int
	broken := errors.New("broken")
	for i, err := range []error{nil, broken, nil} {
		u.add(func() error { order = append(order, i); return err })
	}
	if err := u.run(); !errors.Is(err, broken) || !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("order %v, error %v", order, err)
	}
	if err := u.run(); err != nil || len(order) != 3 {
		t.Errorf("a second run does something: %v, %v", order, err)
	}
}

func TestSiteExpands(t *testing.T) {
	s := &site{ground: &ground{lower: "/g/lower", origin: "/g/origin.git"}, own: "/g/me", binary: "/bin/b"}
	if got, want := s.expand("{binary} {src} {mnt} lowerdir={lower},upperdir={upper} git:{origin}"),
		"/bin/b /g/me/src /g/me/mnt lowerdir=/g/lower,upperdir=/g/me/upper git:/g/origin.git"; got != want {
		t.Errorf("expand = %q; want %q", got, want)
	}
}
