package main_test

import (
	"os"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// TestOffline mounts what was mounted before, while the server would hang whoever asked it.
func TestOffline(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	repo.Git(t, "branch", "other")
	first := repo.ID(t, "HEAD").String()
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}}) // what is not read is not there
	lab.Shell(m.Point, `cat README.md dir/b/same bin/run.sh > /dev/null; readlink link; ls -la third-party/buck-hello > /dev/null`)
	m.Unmount()
	repo.Write(t, "README.md", "the head has moved\n", 0o644)
	repo.Commit(t, "moved")
	srv.fail(origintest.Always("/", origintest.Hang()))
	srv.take()

	for _, rev := range []string{"", first} {
		m = lab.Mount(testfs.Spec{Origin: srv.URL + "/", Flags: []string{"--offline", "--rev", rev}, EIO: true})
		wantContent(t, m.Path("README.md"), "# corpus\n")
		wantContent(t, m.Path("dir/b/same"), "same\n")
		wantAbsent(t, m.Path("dir/b/nope"))
		lab.Shell(m.Point, `
			test "$(bin/run.sh)" = run; test "$(readlink link)" = README.md; ls third-party/buck-hello | grep -q main.rs
			echo more >> dir/b/same; test "$(cat dir/b/same)" = "$(printf 'same\nmore')"; mkdir new; mv new newer; rm README.md`)
		for _, script := range []string{"cat foo.txt", "ls odd", "cat odd/nope", "stat -c %s foo0", "echo more >> no-newline", "touch foo/new"} {
			r := lab.Run(testfs.Command{Dir: m.Point}, "bash", "-c", script)
			if r.Code == 0 || !strings.Contains(r.Stderr, "Input/output error") {
				t.Errorf("%s: exit status %d, %q, want an Input/output error", script, r.Code, r.Stdout+r.Stderr)
			}
		}
		if !strings.Contains(m.Log(), "offline") {
			t.Errorf("the log does not say why: %s", m.Log())
		}
		if got := m.Unmount(); got.OriginRequests != 0 || got.Commit != first {
			t.Errorf("%d requests, commit %s, want none and %s", got.OriginRequests, got.Commit, first)
		}
	}
	if asked := srv.take(); len(asked) != 0 {
		t.Errorf("the server was asked: %v", asked)
	}

	offline := []string{"--origin", srv.URL, "--offline", "--upper", lab.Path("u"), "--work", lab.Path("w")}
	remedy := "mount it once without --offline"
	for what, tt := range map[string]struct {
		flags []string
		says  []string
	}{
		"a revision that was not mounted": {[]string{"--rev", "other"}, []string{srv.URL, `revision "other"`, "offline", remedy}},
		"another cache":                   {[]string{"--cache", lab.Path("home", ".cache", "other")}, []string{srv.URL, "its head", "offline", remedy}},
		"a directory that was not read":   {[]string{"--path", "odd"}, []string{srv.URL, "tree /odd", "offline", remedy}},
	} {
		t.Run(what, func(t *testing.T) {
			wantRefusal(t, lab, refusal{3, tt.says}, append(append([]string{"mount"}, append(offline, tt.flags...)...), lab.Mkdir("mnt-refused"))...)
		})
	}
	if err := os.RemoveAll(lab.Path("home", ".cache", "antares-actor", "objects")); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, lab, refusal{3, []string{"offline", remedy}}, append([]string{"mount"}, append(offline, lab.Mkdir("mnt-empty"))...)...)
}
