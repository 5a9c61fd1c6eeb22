package monoserver_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// BenchmarkServer asks for things as a mount does, by several connections at once, in a packed repository of 1,000
// directories three levels down with 10 files each.
func BenchmarkServer(b *testing.B) {
	repo := origintest.NewRepo(b)
	var blobs, dirs []string
	for d := range 1000 {
		dir := fmt.Sprintf("src/%d/dir%d", d%10, d)
		dirs = append(dirs, dir)
		for f := range 10 {
			text := strings.Repeat(fmt.Sprintf("file %d of directory %d\n", f, d), 160)
			repo.Write(b, fmt.Sprintf("%s/file%d", dir, f), text, 0o644)
			blobs = append(blobs, object.Sum(object.Blob, []byte(text)).String())
		}
	}
	repo.Commit(b, "many")
	repo.Git(b, "repack", "-adq")
	r, err := gitrepo.Open(b.Context(), repo.Dir)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	srv := httptest.NewServer(monoserver.New(r, nil))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for name, url := range map[string]func(i int) string{
		"blob":    func(i int) string { return "/api/v1/file/blob/" + blobs[i%len(blobs)] },
		"raw":     func(i int) string { return "/api/v1/file/tree?path=/" + dirs[i%len(dirs)] },
		"listing": func(i int) string { return "/api/v1/tree/content-hash?path=/" + dirs[i%len(dirs)] },
		"status":  func(int) string { return "/api/v1/status" },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(8)
			next := make(chan int)
			go func() {
				defer close(next)
				for i := range b.N {
					next <- i
				}
			}()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Get(srv.URL + url(<-next))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		})
	}
}
