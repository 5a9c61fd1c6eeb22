package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// badOrigins are servers that cannot be mounted from, and what is asked of them.
var badOrigins = map[string]struct {
	refusal
	pick  func(*http.Request) origintest.Fault
	flags []string
}{
	"answers HTML": {
		refusal{3, []string{"text/html", "latest-commit", "Mega server"}}, origintest.Always("/", origintest.Page()), nil,
	},
	"answers HTML for a directory": {
		refusal{3, []string{"text/html", "file/tree", "Mega server"}}, origintest.Always("file/tree", origintest.Page()), nil,
	},
	"answers half a commit": {
		refusal{3, []string{"unexpected EOF", "latest-commit", "is the server running"}}, origintest.Always("latest-commit", origintest.Half()), nil,
	},
	"answers half a directory": {
		refusal{3, []string{"unexpected EOF", "file/tree", "is the server running"}}, origintest.Always("file/tree", origintest.Half()), nil,
	},
	"answers JSON that is none": {
		refusal{3, []string{"latest-commit", "Mega server"}}, origintest.Always("latest-commit", origintest.Answer("application/json", "{")), nil,
	},
	"answers a directory that is none": {
		refusal{3, []string{"file/tree", "Mega server"}}, origintest.Always("file/tree", origintest.Answer("application/octet-stream", "x")), nil,
	},
	"answers a directory with another hash": {
		refusal{3, []string{"dir/a", "bad answer", "Mega server"}},
		func(r *http.Request) origintest.Fault {
			switch {
			case r.URL.Query().Get("path") != "/dir/a":
				return nil
			case strings.Contains(r.URL.Path, "file/tree"):
				return origintest.Corrupt()
			}
			return origintest.Answer("application/json", `{"req_result":true,"data":[],"err_message":""}`) // Mega's way to say "I do not know"
		},
		[]string{"--path", "dir/a"},
	},
	"is in trouble": {
		refusal{3, []string{"503", "is the server running"}}, origintest.Always("/", origintest.Status(503)), nil,
	},
	"breaks connections": {
		refusal{3, []string{"EOF", "unavailable", "is the server running"}}, origintest.Always("/", origintest.Reset()), nil,
	},
}

func TestBadOriginsAreRefused(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	for name, in := range badOrigins {
		for way, line := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel() // each waits about a second for its retries
				lab, srv := suite.New(t), newServer(t, repo.Dir)
				srv.fail(in.pick)
				flags := append([]string{"--origin", srv.URL}, withUpper(lab, in.flags)...)
				wantRefusal(t, lab, in.refusal, line(lab.Mkdir("mnt"), flags)...)
			})
		}
	}
}

func TestDamagedRepositoriesAreRefused(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	object := objectFile(t, repo, "HEAD:dir")
	other, err := os.ReadFile(objectFile(t, repo, "HEAD:foo"))
	if err != nil {
		t.Fatal(err)
	}
	for way, line := range ways {
		for name, damage := range map[string]func() error{
			"a directory that is another": func() error { return os.WriteFile(object, other, 0o444) },
			"half a directory":            func() error { return os.WriteFile(object, other[:len(other)/2], 0o444) },
			"a directory that is missing": func() error { return nil },
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				lab := suite.New(t)
				if err := os.Remove(object); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				if err := damage(); err != nil {
					t.Fatal(err)
				}
				flags := append([]string{"--origin", "git:" + repo.Dir}, withUpper(lab, []string{"--path", "dir/a"})...)
				wantRefusal(t, lab, refusal{3, []string{repo.Dir, "dir", "origin"}}, line(lab.Mkdir("mnt"), flags)...)
			})
		}
	}
}

// objectFile returns the file that holds an object of the repository.
func objectFile(t *testing.T, repo *origintest.Repo, name string) string {
	t.Helper()
	id := repo.ID(t, name).String()
	path := filepath.Join(repo.Dir, ".git", "objects", id[:2], id[2:])
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTroubleAfterMountingIsEIO: what cannot be had from the origin is an error to the reader, never absence, and it ends
// with the trouble.
func TestTroubleAfterMountingIsEIO(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	faults := map[string]origintest.Fault{
		"reset": origintest.Reset(), "500": origintest.Status(500), "HTML": origintest.Page(), "half": origintest.Half(), "corrupt": origintest.Corrupt(),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab, srv := suite.New(t), newServer(t, repo.Dir)
			m := lab.Mount(testfs.Spec{Origin: srv.URL, EIO: true})
			wantContent(t, m.Path("dir/b/same"), "same\n")
			blobs := origintest.Always("/file/blob", fault)
			all := origintest.Always("/", fault)
			if name == "corrupt" {
				all = blobs // a changed listing cannot always be told from one of another commit
			}
			srv.fail(all)
			trouble(t, lab, m, all != nil && name != "corrupt")
			srv.fail(nil)
			// Each failure took several attempts, and after a hundred in a row the server is left alone for a second.
			await(t, "the server is asked again", func() bool { return lab.Run(testfs.Command{Dir: m.Point}, "cat", "foo.txt").Code == 0 })
			recovered(t, lab, m)
		})
	}
	t.Run("git", func(t *testing.T) {
		t.Parallel()
		repo := helloRepo(t)
		lab := suite.New(t)
		m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, EIO: true})
		wantContent(t, m.Path("dir/b/same"), "same\n")
		objects := filepath.Join(repo.Dir, ".git", "objects")
		if err := os.Rename(objects, objects+".away"); err != nil {
			t.Fatal(err)
		}
		trouble(t, lab, m, true)
		if err := os.Rename(objects+".away", objects); err != nil {
			t.Fatal(err)
		}
		recovered(t, lab, m)
	})
}

// trouble reads what is known, which must work, and what is not, which must fail with EIO.
func trouble(t *testing.T, lab *testfs.Lab, m *testfs.Mount, listings bool) {
	t.Helper()
	wantContent(t, m.Path("dir/b/same"), "same\n")
	wantAbsent(t, m.Path("dir/b/nope"))
	failing := []string{"cat README.md", "cp README.md /dev/null", "echo more >> README.md", "stat -c %s foo.txt", "readlink link"}
	if listings {
		failing = append(failing, "ls third-party/buck-hello", "cat third-party/buck-hello/BUCK", "cat third-party/nope", "touch third-party/new")
	}
	for _, script := range failing {
		r := lab.Run(testfs.Command{Dir: m.Point}, "bash", "-c", script)
		if r.Code == 0 || !strings.Contains(r.Stderr, "Input/output error") && !strings.HasPrefix(script, "readlink") {
			t.Errorf("%s: exit status %d, %q, want an Input/output error", script, r.Code, r.Stdout+r.Stderr)
		}
	}
	if !strings.Contains(m.Log(), "origin cannot be read") {
		t.Errorf("the log does not say what is wrong: %s", m.Log())
	}
}

// recovered reads the same once the origin is well again.
func recovered(t *testing.T, lab *testfs.Lab, m *testfs.Mount) {
	t.Helper()
	lab.Shell(m.Point, `
		grep -q corpus README.md; echo more >> README.md; test "$(cat README.md)" = "$(printf '# corpus\nmore')"
		test "$(stat -c %s foo.txt)" = 2; test "$(readlink link)" = README.md
		ls third-party/buck-hello | grep -q main.rs; ! test -e third-party/nope; touch third-party/new; cat third-party/buck-hello/BUCK`)
	m.Unmount()
	wantContent(t, m.InUpper("README.md"), "# corpus\nmore\n")
}
