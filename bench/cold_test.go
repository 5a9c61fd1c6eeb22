package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestColdOptions(t *testing.T) {
	cases := []struct {
		name  string
		args  []string
		fails bool
		check func(coldOptions) bool
	}{
		{"defaults", nil, false, func(o coldOptions) bool {
			return len(o.trips) == 4 && o.rounds == 5 && o.parallel == 64 && o.out == "bench/COLD.md"
		}},
		{"quick", []string{"-quick"}, false, func(o coldOptions) bool { return o.rounds == 1 && o.out == "bench/results/cold.md" }},
		{"quick with rounds", []string{"-quick", "-rounds", "3"}, false, func(o coldOptions) bool { return o.rounds == 3 }},
		{"trips", []string{"-trips", "0,7ms"}, false, func(o coldOptions) bool { return o.trips[1] == 7*time.Millisecond }},
		{"a trip that is no time", []string{"-trips", "soon"}, true, nil},
		{"an unknown case", []string{"-cases", "tar,nothing"}, true, nil},
		{"no rounds", []string{"-rounds", "0"}, true, nil},
		{"a stray argument", []string{"tar"}, true, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o, err := parseColdOptions(c.args, io.Discard)
			if (err != nil) != c.fails || (err == nil && !c.check(o)) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestACaseRunsAtItsRoundTripsOrAtTheOnlyOne(t *testing.T) {
	near := coldCase{trips: []time.Duration{5 * time.Millisecond}}
	many, single := coldOptions{trips: []time.Duration{0, 5 * time.Millisecond}}, coldOptions{trips: []time.Duration{0}}
	if many.takes(near, 0) || !many.takes(near, 5*time.Millisecond) || !many.takes(coldCase{}, 0) || !single.takes(near, 0) {
		t.Error("a case runs where it does not belong, or not where it does")
	}
}

func TestVerdicts(t *testing.T) {
	cases := []struct {
		name        string
		ours, floor []float64
		asked       asked
		met         bool
	}{
		{"a ratio that is kept", []float64{14, 15, 90}, []float64{10, 10, 10}, asked{1.5, true}, true},
		{"a ratio that is not", []float64{16, 16, 1}, []float64{10, 10, 10}, asked{1.5, true}, false},
		{"a ratio to nothing", []float64{1}, nil, asked{1.5, true}, false},
		{"a number that is kept", []float64{0.5}, []float64{0.1}, asked{limit: 0.6}, true},
		{"a number that is not", []float64{0.7}, nil, asked{limit: 0.6}, false},
		{"none of something", []float64{0, 0}, nil, asked{limit: none}, true},
		{"one where none may be", []float64{1}, nil, asked{limit: none}, false},
		{"no sample", nil, []float64{1}, asked{limit: 1}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			row := &coldRow{Ours: c.ours, Floor: c.floor}
			if _, _, met := row.verdict(c.asked); met != c.met {
				t.Errorf("met: %v", met)
			}
		})
	}
}

func TestTheColdReportSaysWhatWasAskedAndWhatFailed(t *testing.T) {
	r := &coldReport{Rounds: 1, Parallel: 64}
	row := r.row("tar", "time", 5*time.Millisecond)
	row.Ours, row.Floor = []float64{1.2}, []float64{1}
	r.row("find", "requests at once", 5*time.Millisecond).Ours = []float64{65}
	r.fail("mounts", 5*time.Millisecond, errors.New("two\nlines"))
	text := r.markdown()
	for _, want := range []string{
		"| time | 5ms | 1.20 s | plain client | 1.00 s | 1.20 | at most 1.5 times | met |",
		"| requests at once | 5ms | 65 |  |  |  | at most 64 | **not met** |",
		"- mounts, round trip 5ms: two; lines",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	r.Machine.CPUs, r.Load[0] = 2, "1.50"
	if strings.Contains(r.markdown(), busyNote) {
		t.Error("a quiet machine is called busy")
	}
	if r.Load[0] = "9.00"; !strings.Contains(r.markdown(), busyNote) {
		t.Error("the report does not say that the machine was busy")
	}
	if r.row("tar", "time", 5*time.Millisecond) != row {
		t.Error("a row was made twice")
	}
}

func TestThePlainClientGetsEverythingOnce(t *testing.T) {
	var l ledger
	srv := httptest.NewServer(l.watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "12345")
	})))
	defer srv.Close()
	got := floorTask{Base: srv.URL, Paths: []string{"/a", "/b", "/c", "/d"}, Parallel: 3}.run()
	if got.Error != "" || got.Bytes != 20 || l.take(0).Requests != 4 {
		t.Errorf("%+v", got)
	}
	if got := (floorTask{Base: srv.URL, Paths: []string{"/missing"}, Parallel: 2}).run(); got.Error == "" {
		t.Error("a file that is missing went unnoticed")
	}
}

func TestAnOriginServesGeneratedRepositories(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal(err)
	}
	o := coldOptions{quick: true, cases: []string{"moved"}}
	trees, err := o.coldTrees(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	size := o.size()
	dirs := size.Groups * (size.Dirs + 1)
	moved := trees["moved"]
	if len(moved.files) != dirs*size.Files || len(moved.dirs) != dirs+1 || moved.old == moved.head || moved.bytes == 0 {
		t.Fatalf("generated %d files in %d directories, commits %s and %s", len(moved.files), len(moved.dirs), moved.old, moved.head)
	}
	in, closeIn := io.Pipe()
	outReader, out := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- serveOrigin(in, out) }()
	task := originTask{Repos: map[string]string{"moved": moved.dir}, Trips: []time.Duration{0}}
	if err := json.NewEncoder(closeIn).Encode(task); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	if err := json.NewDecoder(outReader).Decode(&addrs); err != nil {
		t.Fatal(err)
	}
	c := &cold{coldOptions: coldOptions{trips: task.Trips}, addrs: map[time.Duration]string{0: addrs[0]}}
	paths := append(append(moved.treePaths(), moved.oldPaths()...), moved.blobPaths()...)
	want := floorTask{Base: c.url("moved", 0), Paths: paths, Parallel: 4}.run()
	got, err := c.tally(context.Background(), "moved", 0)
	if err != nil || want.Error != "" {
		t.Fatal(err, want.Error)
	}
	if got.Requests != len(paths) || got.Bytes != want.Bytes || got.listings() != 2*len(moved.dirs) {
		t.Errorf("the origin counted %+v; the client made %d requests", got, len(paths))
	}
	_ = closeIn.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAManyTaskThatCannotBeReadIsAnError(t *testing.T) {
	for _, in := range []string{"", "mount\n"} {
		if err := serveMany(strings.NewReader(in), new(bytes.Buffer)); err == nil {
			t.Errorf("%q went unnoticed", in)
		}
	}
}

func TestADaemonsProcessorTime(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: &exec.Cmd{Process: self}}
	before, err := d.cpu()
	for now := before; err == nil && now == before; { // ends when this loop has used a hundredth of a second
		now, err = d.cpu()
	}
	if err != nil {
		t.Error(err)
	}
}
