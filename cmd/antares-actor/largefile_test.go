package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// largeText is text without a pattern.
func largeText(size int) string {
	b := make([]byte, size/2)
	r := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = r.Read(b)
	return hex.EncodeToString(b)
}

// bent is an answer's body that stops in the middle until it may go on, and has one wrong byte.
type bent struct {
	http.ResponseWriter
	n      int
	stopAt int
	goOn   chan struct{} // closed
	wrong  int           // -1: none
}

func (b *bent) Write(p []byte) (int, error) {
	if b.n < b.stopAt && b.n+len(p) >= b.stopAt {
		b.ResponseWriter.(http.Flusher).Flush()
		<-b.goOn
	}
	if at := b.wrong - b.n; at >= 0 && at < len(p) {
		p = bytes.Clone(p)
		p[at] ^= 1
	}
	b.n += len(p)
	return b.ResponseWriter.Write(p)
}

// bend has blobs' bodies stop in the middle until the channel is closed.
func bend(stopAt, wrong int) (func(*http.Request) origintest.Fault, chan struct{}) {
	goOn := make(chan struct{})
	return origintest.Always("/file/blob", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&bent{ResponseWriter: w, stopAt: stopAt, goOn: goOn, wrong: wrong}, r)
	}), goOn
}

// openLarge opens a file of the mount and reads its first bytes.
func openLarge(t *testing.T, m *testfs.Mount, name string, n int) (*os.File, []byte) {
	t.Helper()
	f, err := os.Open(m.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		t.Fatal(err)
	}
	return f, b
}

// TestALargeFileIsReadWhileItIsFetched: many readers, one of them killed, one download.
func TestALargeFileIsReadWhileItIsFetched(t *testing.T) {
	t.Parallel()
	text := largeText(12 << 20)
	srv, lab := newServer(t, importRepo(t, map[string]string{"large": text}).Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Cache: lab.Path("cache")})
	pick, goOn := bend(6<<20, -1)
	srv.fail(pick)
	f, head := openLarge(t, m, "large", 1<<20) // although the body has stopped
	if string(head) != text[:1<<20] {
		t.Error("the first bytes are wrong")
	}
	killed := lab.Background(m.Point, "cat", "large")
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := killed.Wait(); err == nil {
		t.Error("not killed")
	}
	if err := os.WriteFile(lab.Path("text"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cats []func() error
	for range 4 {
		cmd := lab.Background(m.Point, "cmp", "large", lab.Path("text"))
		cats = append(cats, cmd.Wait)
	}
	close(goOn)
	for _, wait := range cats {
		if err := wait(); err != nil {
			t.Error(err)
		}
	}
	if rest, err := io.ReadAll(f); err != nil || string(rest) != text[1<<20:] {
		t.Errorf("the rest: %d bytes, %v", len(rest), err)
	}
	asked := 0
	for _, url := range srv.take() {
		if strings.Contains(url, "/file/blob/") {
			asked++
		}
	}
	if asked > 2 {
		t.Errorf("%d requests for the file, want one for its size and one for its bytes", asked)
	}
}

// TestADamagedLargeFileIsNotReadToItsEnd: what a reader got before the damage was found it cannot take for the whole.
func TestADamagedLargeFileIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	text := largeText(12 << 20)
	srv, lab := newServer(t, importRepo(t, map[string]string{"large": text}).Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Cache: lab.Path("cache"), EIO: true})
	pick, goOn := bend(6<<20, 1000)
	srv.fail(pick)
	slow, head := openLarge(t, m, "large", 1<<20)
	if string(head) == text[:1<<20] {
		t.Error("nothing is damaged")
	}
	waits := lab.Background(m.Point, "cat", "large")
	close(goOn)
	if err := waits.Wait(); err == nil {
		t.Error("somebody who was reading when the damage was found saw no error")
	}
	if rest, err := io.ReadAll(slow); !errors.Is(err, syscall.EIO) {
		t.Errorf("somebody who came back for more got %d bytes, %v; want EIO", len(rest), err)
	}
	_ = slow.Close()
	srv.fail(nil)
	sum := sha256.Sum256([]byte(text))
	// Who begins before the kernel has forgotten the damaged bytes gets an error, too, but never an end.
	lab.Shell(m.Point, "until sum=$(sha256sum < large); do sleep 0.1; done; test \"$sum\" = '"+hex.EncodeToString(sum[:])+"  -'")
	m.Unmount()
}
