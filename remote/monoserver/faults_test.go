package monoserver_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// addFault adds a fault in words.
func addFault(t *testing.T, s *monoserver.Server, spec monoserver.Spec) {
	t.Helper()
	if err := s.AddFault(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

func words(kind, route string) monoserver.Spec {
	return monoserver.Spec{Spec: fault.Spec{Rule: fault.Rule{Route: route}, Kind: kind}}
}

func TestFaultsMeetTheirRouteOnlyAndAreCounted(t *testing.T) {
	s, repo := newServer(t)
	id := repo.ID(t, "HEAD:README.md").String()
	spec := words("status", "/file/blob/"+id)
	spec.Status, spec.Count, spec.RetryAfter = 503, 2, "1"
	addFault(t, s, spec)
	var codes []int
	for range 3 {
		got := ask(t, s, http.MethodGet, "/api/v1/file/blob/"+id)
		codes = append(codes, got.Code)
		if got.Code == 503 && got.Header().Get("Retry-After") != "1" {
			t.Errorf("%v", got.Header())
		}
	}
	if !slices.Equal(codes, []int{503, 503, 200}) {
		t.Errorf("%v", codes)
	}
	if got := ask(t, s, http.MethodGet, "/api/v1/tree/content-hash"); got.Code != 200 {
		t.Errorf("a listing: %d", got.Code)
	}
	if state := s.Faults().Rules()[0]; state.Matched != 3 || state.Met != 2 {
		t.Errorf("%+v", state)
	}
	traffic := s.Traffic()["/api/v1/file/blob/{oid}"]
	if traffic.Requests != 3 || traffic.Objects[id] != 3 || traffic.Bytes != uint64(len("# corpus\n")) || traffic.InFlight != 0 || traffic.Peak != 1 {
		t.Errorf("%+v", traffic)
	}
	s.ResetTraffic()
	if got := s.Traffic(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestALargeBlobIsCutOnItsWay: what is behind the cut is not read.
func TestALargeBlobIsCutOnItsWay(t *testing.T) {
	s, repo := newServer(t)
	srv := httptest.NewServer(s)
	defer srv.Close()
	for kind, want := range map[string]error{"cut": io.ErrUnexpectedEOF, "short": nil} {
		spec := words(kind, "/file/blob/")
		spec.Bytes, spec.Count = 100_000, 1
		addFault(t, s, spec)
		resp, err := http.Get(srv.URL + "/api/v1/file/blob/" + repo.ID(t, "HEAD:large.bin").String())
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != 100_000 || !errors.Is(err, want) {
			t.Errorf("%s: %d bytes, %v", kind, n, err)
		}
		if whole := kind == "cut"; (resp.ContentLength == origintest.LargeSize) != whole {
			t.Errorf("%s: %d bytes announced", kind, resp.ContentLength)
		}
	}
}

func TestEmptyIsWhatAMegaServerSaysOfWhatItDoesNotKnow(t *testing.T) {
	s, repo := newServer(t)
	add(t, s, monoserver.Changelist{Link: "CL", Rev: "HEAD"})
	addFault(t, s, words("empty", "/"))
	list := `{"req_result":true,"data":[],"err_message":""}`
	for target, want := range map[string]string{
		"/api/v1/tree/content-hash?path=/dir":                      list,
		"/api/v1/tree/dir-hash?path=/dir":                          list,
		"/api/v1/cl/CL/files-list":                                 list,
		"/api/v1/file/tree?path=/dir":                              "",
		"/api/v1/file/blob/" + repo.ID(t, "HEAD:foo.txt").String(): "2\n",
	} {
		got := ask(t, s, http.MethodGet, target)
		if got.Code != 200 || strings.TrimSuffix(got.Body.String(), "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%s: %d %s", target, got.Code, got.Body)
		}
	}
}

// TestTheHeadAdvancesBetweenTwoRequests of one client, which has learned the head and goes on to read it.
func TestTheHeadAdvancesBetweenTwoRequests(t *testing.T) {
	s, repo := newServer(t)
	ids := []string{repo.ID(t, "HEAD").String()}
	for i := range 2 {
		repo.Write(t, "README.md", fmt.Sprint(i), 0o644)
		ids = append(ids, repo.Commit(t, "next").String())
	}
	if _, err := s.SetHead(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	spec := words("advance", "/latest-commit")
	spec.Skip, spec.Revs = 1, ids[1:]
	addFault(t, s, spec)
	var got []string
	for range 4 {
		_, rest, _ := strings.Cut(ask(t, s, http.MethodGet, "/api/v1/latest-commit").Body.String(), `"oid":"`)
		got = append(got, rest[:40])
	}
	if want := []string{ids[0], ids[1], ids[2], ids[2]}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestErrorsAreMegas(t *testing.T) {
	s, repo := newServer(t)
	target := "/api/v1/file/blob/" + repo.ID(t, "HEAD:foo.txt").String()
	for status, want := range map[int]string{
		409: `{"req_result":false,"data":null,"err_message":"object missing"}` + "\n",
		503: serverError,
	} {
		spec := words("error", "/blob/")
		spec.Status, spec.Body = status, "object missing"
		addFault(t, s, spec)
		if got := ask(t, s, http.MethodGet, target); got.Code != status || got.Body.String() != want {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		s.Faults().Clear()
	}
	if err := s.AddFault(t.Context(), words("error", "")); !errors.Is(err, fault.ErrBadSpec) {
		t.Errorf("an error without a status: %v", err)
	}
}

func TestFaultsThatMakeNoSenseAreRefused(t *testing.T) {
	s, _ := newServer(t)
	for want, spec := range map[error]monoserver.Spec{
		fault.ErrBadSpec:     words("nope", ""),
		remote.ErrUnknownRev: {Spec: fault.Spec{Kind: "advance"}, Revs: []string{"nope"}},
	} {
		if err := s.AddFault(t.Context(), spec); !errors.Is(err, want) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	if err := s.AddFault(t.Context(), words("advance", "")); !errors.Is(err, fault.ErrBadSpec) {
		t.Errorf("an advance to nowhere: %v", err)
	}
	if err := s.AddFault(t.Context(), words("nope", "")); !strings.Contains(err.Error(), "advance") || !strings.Contains(err.Error(), "stall") {
		t.Errorf("the error does not name the kinds: %v", err)
	}
	if rules := s.Faults().Rules(); len(rules) != 0 {
		t.Errorf("%v", rules)
	}
}

func TestImportsIgnoreRefs(t *testing.T) {
	s, repo := newServer(t)
	repo.Write(t, "third-party/foo/a", "first\n", 0o644)
	repo.Write(t, "third-party/foobar/a", "first\n", 0o644)
	repo.Write(t, "third-party/it's", "first\n", 0o644)
	first := repo.Commit(t, "first").String()
	repo.Write(t, "third-party/foo/a", "second\n", 0o644)
	repo.Write(t, "third-party/foobar/a", "second\n", 0o644)
	second := repo.Commit(t, "second").String()
	s.SetQuirks(monoserver.Quirks{Imports: []monoserver.Import{{Path: "/third-party/foo"}}})
	id := func(name string) string { return repo.ID(t, name).String() }
	for _, tt := range []struct {
		name, target string
		code         int
		has          string
	}{
		{"a listing is the head's", "content-hash?path=/third-party/foo&refs=" + first, 200, id(second + ":third-party/foo/a")},
		{"bad refs are ignored as well", "content-hash?path=/third-party/foo&refs=nope", 200, id(second + ":third-party/foo/a")},
		{"its parent's listing is not", "content-hash?path=/third-party&refs=" + first, 200, id(first + ":third-party/foo")},
		{"nor the id that its parent has for it", "dir-hash?path=/third-party/foo&refs=" + first, 200, id(first + ":third-party/foo")},
		{"a neighbour whose name begins alike is refused", "content-hash?path=/third-party/foobar", 500, "Internal server error"},
		{"so is a quote", "content-hash?path=/third-party/it's", 500, "Internal server error"},
		{"a quote elsewhere is none", "content-hash?path=/odd&refs=" + first, 200, id(first + ":odd/it's")},
	} {
		got := ask(t, s, http.MethodGet, "/api/v1/tree/"+tt.target)
		if got.Code != tt.code || !strings.Contains(got.Body.String(), tt.has) {
			t.Errorf("%s: %d %s", tt.name, got.Code, got.Body)
		}
	}
	s.SetQuirks(monoserver.Quirks{Imports: []monoserver.Import{{Path: "third-party/foo", Rev: first}}})
	if got := ask(t, s, http.MethodGet, "/api/v1/file/tree?path=/third-party/foo"); got.Body.String() != repo.Git(t, "cat-file", "tree", first+":third-party/foo") {
		t.Errorf("an import at a commit of its own: %q", got.Body)
	}
}

// TestHeldRequestsAreInFlightTogether: a test can hold answers back and see how many requests a client makes at once.
func TestHeldRequestsAreInFlightTogether(t *testing.T) {
	s, _ := newServer(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.Faults().Add(fault.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		arrived <- struct{}{}
		next.ServeHTTP(w, r)
	}})
	s.Faults().Add(fault.Rule{Fault: fault.Hold(release)})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if got := ask(t, s, http.MethodGet, "/api/v1/tree/content-hash?path=/dir/"); got.Code != 200 {
				t.Errorf("%d", got.Code)
			}
		})
	}
	for range 3 {
		<-arrived
	}
	const route = "/api/v1/tree/content-hash"
	if got := s.Traffic()[route]; got.InFlight != 3 || got.Objects["/dir"] != 3 {
		t.Errorf("%+v", got)
	}
	s.ResetTraffic()
	close(release)
	wg.Wait()
	if got := s.Traffic()[route]; got.InFlight != 0 || got.Peak != 3 || got.Requests != 0 || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
}
