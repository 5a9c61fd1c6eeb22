package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The program that the build workload compiles: an example of go-fuse, which every checkout of this project has in its
// module cache, and which needs one other module only.
const (
	programModule  = "github.com/hanwen/go-fuse/v2"
	programNeeds   = "golang.org/x/sys"
	programPackage = "./example/loopback"
)

// module is what `go list -m -json` says about a dependency.
type module struct{ Path, Version, Dir, GoVersion string }

// addProgram copies the program's module to dir, with a go.mod that names only what the build needs, at the versions that
// this project pins: so it builds offline.
func addProgram(ctx context.Context, dir string) error {
	modules, err := listModules(ctx, programModule, programNeeds)
	if err != nil {
		return err
	}
	main, needs := modules[programModule], modules[programNeeds]
	err = copySources(main.Dir, dir, func(rel string) bool {
		return strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, "_test.go")
	})
	if err != nil {
		return err
	}
	goMod := fmt.Sprintf("module %s\n\ngo %s\n\nrequire %s %s\n", main.Path, later(main.GoVersion, needs.GoVersion), needs.Path, needs.Version)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(goMod), 0o644); err != nil {
		return err
	}
	return copySums(ctx, needs, filepath.Join(dir, "go.sum"))
}

// later is the later of two versions of Go's language, as go.mod writes them.
func later(a, b string) string {
	if version.Compare("go"+a, "go"+b) < 0 {
		return b
	}
	return a
}

func listModules(ctx context.Context, paths ...string) (map[string]module, error) {
	if _, err := command(ctx, "", nil, append([]string{"go", "mod", "download"}, paths...)...); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-m", "-json"}, paths...)...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list (run the harness inside the checkout): %w", err)
	}
	found := make(map[string]module)
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var m module
		if err := dec.Decode(&m); err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		found[m.Path] = m
	}
	return found, nil
}

// checkoutDir is the root of the checkout that the harness runs in.
func checkoutDir(ctx context.Context) (string, error) {
	out, err := command(ctx, "", nil, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// copySums takes a module's lines from this project's go.sum.
func copySums(ctx context.Context, m module, to string) error {
	root, err := checkoutDir(ctx)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	defer f.Close()
	var sums strings.Builder
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), m.Path+" "+m.Version) {
			sums.WriteString(lines.Text() + "\n")
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return os.WriteFile(to, []byte(sums.String()), 0o644)
}

// buildEnv makes a go command work offline, from the module cache alone, with its build cache in dir.
func buildEnv(dir string) []string {
	return []string{
		"GOCACHE=" + dir, "GOFLAGS=-mod=readonly -buildvcs=false", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
	}
}

// primeBuild compiles what the program needs from outside the tree into a build cache, so that the workload's time is spent on
// the files of the mount and not on the standard library.
func primeBuild(ctx context.Context, program, dir string) error {
	env := buildEnv(dir)
	// The standard library's own vendored packages cannot be named; they come along.
	const outside = `{{if .Standard}}{{if ne (slice (print .ImportPath "       ") 0 7) "vendor/"}}{{.ImportPath}}{{end}}` +
		`{{else if ne .Module.Path "` + programModule + `"}}{{.ImportPath}}{{end}}`
	out, err := command(ctx, program, env, "go", "list", "-deps", "-f", outside, programPackage)
	if err != nil {
		return fmt.Errorf("prime the build cache: %w", err)
	}
	_, err = command(ctx, program, env, append([]string{"go", "build"}, strings.Fields(out)...)...)
	if err != nil {
		return fmt.Errorf("prime the build cache: %w", err)
	}
	return nil
}
