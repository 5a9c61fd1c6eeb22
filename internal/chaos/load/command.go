package load

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// run runs a command in a directory of the root, and returns what it printed on standard error.
func run(w *worker.Worker, dir string, env []string, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = filepath.Join(w.Root, dir), append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stderr.String(), nil
}

// rounds calls do with 0, 1, 2, ... until the worker is stopped, and again with the same after the mount went away.
func rounds(w *worker.Worker, do func(i int) error) error {
	for i := 0; i == 0 || !w.Stopped(); i++ {
		for {
			err := do(i)
			if err == nil {
				break
			}
			if !w.Away() {
				return fmt.Errorf("round %d: %w", i, err)
			}
			if err := w.Cut(); err != nil {
				return err
			}
		}
		if i == 0 {
			w.Ready()
		}
	}
	return nil
}
