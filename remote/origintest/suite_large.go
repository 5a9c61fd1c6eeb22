package origintest

import (
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
)

// largeBytes reads files of Git LFS, of no byte and of more than what a driver would hold, where the origin has them.
func largeBytes(t *testing.T, f Fixture) {
	o, ok := f.Origin.(remote.LargeFiles)
	if !ok {
		return
	}
	for name, content := range map[string]string{"none": "", "small": "weights", "large": strings.Repeat("weights\n", 1<<18)} {
		f.Repo.WriteLFS(t, name+".bin", content)
		b, err := o.LargeFile(t.Context(), sha256.Sum256([]byte(content)), int64(len(content)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(b)
		if string(got) != content || err != nil {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(content), err)
		}
		if b.Size != int64(len(content)) && b.Size != -1 {
			t.Errorf("%s: said to have %d bytes of %d", name, b.Size, len(content))
		}
		if err := b.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}

func largeMissing(t *testing.T, f Fixture) {
	o, ok := f.Origin.(remote.LargeFiles)
	if !ok {
		return
	}
	f.Repo.WriteLFS(t, "there.bin", "there")
	_, err := o.LargeFile(t.Context(), sha256.Sum256([]byte("nobody has this")), 15)
	wantError(t, "large file", err, remote.ErrNotFound)
}
