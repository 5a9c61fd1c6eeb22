package load

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// Fsx runs xfstests' fsx, the program that is its argument, with one seed after the other.
func Fsx(w *worker.Worker) error {
	const operations = 3000
	if err := os.MkdirAll(filepath.Join(w.Root, "fsx"), 0o755); err != nil {
		return err
	}
	return rounds(w, func(i int) error {
		begun := time.Now()
		file := fmt.Sprint("file", i%8)
		_, err := run(w, "fsx", nil, w.Args[0], "-q", "-N", fmt.Sprint(operations), "-S", fmt.Sprint(int(w.Seed)+i), file)
		if err != nil {
			return err
		}
		w.Did(time.Since(begun))
		return nil
	})
}
