package load

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// again is after how many rounds a build begins from nothing.
const again = 6

// Go builds a module over and over, and runs what was built. Its temporary files are in the mount, and its build cache as well
// unless its argument names another: compiling the runtime takes a while.
func Go(w *worker.Worker) error {
	values := make([]int, packages)
	for i := range values {
		values[i] = i
	}
	cache, tmp := filepath.Join(w.Root, "go-build"), filepath.Join(w.Root, "go-tmp")
	if len(w.Args) > 0 {
		cache = w.Args[0]
	}
	env := []string{
		"GOCACHE=" + cache, "GOTMPDIR=" + tmp, "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOENV=off", "GOTELEMETRY=off",
		"GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
	}
	return rounds(w, func(i int) error {
		begun := time.Now()
		for _, dir := range []string{cache, tmp} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		for k := range 3 {
			p := (i*3 + k) % packages
			values[p] = i*1000 + k
			if err := replace(filepath.Join(w.Root, fmt.Sprintf("go/p%d/p.go", p)), goSource(p, values[p])); err != nil {
				return err
			}
		}
		if i%again == again-1 {
			if err := os.Remove(filepath.Join(w.Root, "go/sum")); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		if _, err := run(w, "go", env, "go", "build", "-o", "sum", "."); err != nil {
			return err
		}
		return sumIs(w, "go", "./sum", values, begun)
	})
}

// C builds a project with cmake and ninja over and over, and runs what was built.
func C(w *worker.Worker) error {
	values := make([]int, sources)
	for i := range values {
		values[i] = i
	}
	fresh := true
	return rounds(w, func(i int) (err error) {
		begun := time.Now()
		defer func() { fresh = err != nil || i%again == again-1 }() // after a cut nobody knows what a build left
		if fresh {
			if err := os.RemoveAll(filepath.Join(w.Root, "c/build")); err != nil {
				return err
			}
			if _, err := run(w, "c", nil, "cmake", "-G", "Ninja", "-B", "build", "."); err != nil {
				return err
			}
		} else if i%3 == 2 {
			if _, err := run(w, "c", nil, "ninja", "-C", "build", "clean"); err != nil {
				return err
			}
		}
		s := i % sources
		values[s] = i * 100
		if err := replace(filepath.Join(w.Root, fmt.Sprintf("c/s%d.c", s)), cSource(s, values[s])); err != nil {
			return err
		}
		if _, err := run(w, "c", nil, "ninja", "-j", "2", "-C", "build"); err != nil {
			return err
		}
		return sumIs(w, "c", "build/sum", values, begun)
	})
}

// replace changes a source as an editor does, so that its time is a new one and nobody sees half of it.
func replace(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sumIs runs what was built.
func sumIs(w *worker.Worker, dir, program string, values []int, begun time.Time) error {
	want := 0
	for _, v := range values {
		want += v
	}
	got, err := run(w, dir, nil, filepath.Join(w.Root, dir, program))
	if err != nil {
		return err
	}
	if got != fmt.Sprint(want) {
		return fmt.Errorf("what was built says %q, want %d", got, want)
	}
	w.Did(time.Since(begun))
	return nil
}
