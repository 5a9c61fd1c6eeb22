package main_test

import (
	"os"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/monoserver"
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

// TestAChangelistOffline shows a changelist that was shown before, while the server would hang whoever asked it.
func TestAChangelistOffline(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	for _, link := range []string{"ABC", "NEVER"} {
		check(t, srv.mono.AddChangelist(t.Context(), monoserver.Changelist{Link: link, Rev: "one..two"}))
	}
	lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--cl", "ABC"}}).Unmount()
	srv.fail(origintest.Always("/", origintest.Hang()))
	srv.take()

	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--offline", "--cl", "ABC", "--prefetch", "off"}})
	wantNames(t, m.Path("d"), "changed come link same")
	wantContent(t, m.Path("d/come"), "come\n") // the changelist's files are here, though nobody read them
	wantContent(t, m.Path("d/changed"), "second, and longer\n")
	wantAbsent(t, m.Path("d/gone"))
	lab.Actor("cl", m.Point, "--clear").OK()
	wantAbsent(t, m.Path("d/come"))
	if r := lab.Actor("cl", m.Point, "NEVER"); r.Code != 3 || !strings.Contains(r.Stderr, `changelist "NEVER"`) || !strings.Contains(r.Stderr, "never shown with this cache") {
		t.Errorf("one that was never shown: exit status %d, %q", r.Code, r.Stderr)
	}
	lab.Actor("cl", m.Point, "ABC").OK()
	wantContent(t, m.Path("d/come"), "come\n")
	if got := m.Unmount(); got.OriginRequests != 0 {
		t.Errorf("%d requests", got.OriginRequests)
	}
	if asked := srv.take(); len(asked) != 0 {
		t.Errorf("the server was asked: %v", asked)
	}
	wantRefusal(t, lab, refusal{3, []string{`changelist "NEVER"`, "never shown with this cache", "offline", "mount it once without --offline"}},
		"mount", "--origin", srv.URL, "--offline", "--cl", "NEVER", "--upper", lab.Path("u"), "--work", lab.Path("w"), lab.Mkdir("mnt-refused"))
}
