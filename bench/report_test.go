package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	cases := []struct {
		name    string
		samples []float64
		want    float64
		ok      bool
	}{
		{"of none", nil, 0, false},
		{"of one", []float64{7}, 7, true},
		{"of an odd number, unsorted", []float64{9, 1, 5}, 5, true},
		{"of an even number", []float64{4, 1, 100, 2}, 3, true},
		{"ignores one outlier", []float64{10, 11, 9, 5000, 10}, 10, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := append([]float64{}, c.samples...)
			if got, ok := median(c.samples); got != c.want || ok != c.ok {
				t.Errorf("median(%v) = %v, %v; want %v, %v", c.samples, got, ok, c.want, c.ok)
			}
			for i := range before {
				if c.samples[i] != before[i] {
					t.Fatal("median sorted its caller's samples")
				}
			}
		})
	}
}

// madeUp is a report with numbers to calculate with.
func madeUp() *report {
	r := &report{Rounds: 3, Corpus: corpusFacts{Name: "made up", Files: 2, Dirs: 1}}
	c := r.compare(groundExt4, []string{"stat-walk", "negative", "cold-stat"})
	for _, name := range []string{plainName, overlayName, "antares", "gofuse-memory"} {
		c.enter(contender{name: name, about: "about " + name})
	}
	c.enter(contender{name: "fuse-overlayfs"}).LeftOut = "not installed"
	c.entrant("antares").ReadyMillis = 12.5
	c.entrant("antares").PeakBytes = 3 << 20
	for contender, samples := range map[string][]float64{plainName: {3, 2, 4}, overlayName: {5, 6, 4}, "antares": {2, 2.5, 3}} {
		for _, s := range samples {
			c.sample("stat-walk", contender, s)
		}
	}
	c.sample("negative", "antares", 123.4)
	c.sample("cold-stat", "antares", 24)
	c.sample("cold-stat", "gofuse-memory", 20)
	c.fail("antares", "negative, round 2", errors.New("found\nsomething"))
	return r
}

func TestRatio(t *testing.T) {
	c := madeUp().Comparisons[0]
	if got, ok := c.ratio("stat-walk", "antares", overlayName); !ok || math.Abs(got-0.5) > 1e-9 {
		t.Errorf("ratio = %v, %v; want 0.5", got, ok)
	}
	for name, args := range map[string][2]string{
		"a contender without samples": {"stat-walk", "gofuse-memory"},
		"a workload nobody ran":       {"go-build", "antares"},
		"a reference without samples": {"negative", "antares"},
	} {
		if got, ok := c.ratio(args[0], args[1], overlayName); ok {
			t.Errorf("%s: ratio = %v; want none", name, got)
		}
	}
}

func TestMarkdownSaysWhatWasMeasured(t *testing.T) {
	text := madeUp().markdown()
	for _, want := range []string{
		"## Layers on ext4",
		"| workload | plain | overlayfs | antares | gofuse-memory |",
		"| stat-walk | 3.00 (0.60) | 5.00 | 2.50 (0.50) |  |",
		"| negative |  |  | failed |  |",
		"- fuse-overlayfs: . **Left out**: not installed",
		"ready after 12.5 ms; its server's peak resident set was 3.0 MiB",
		"- cold-stat: antares needs 1.20 times what gofuse-memory does",
		"- **failed**: antares at negative, round 2: found; something",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0.1234: "0.12", 9.876: "9.88", 12.34: "12.3", 99.94: "99.9", 123.4: "123", 1451524: "1451524"} {
		if got := digits(v); got != want {
			t.Errorf("digits(%v) = %q; want %q", v, got, want)
		}
	}
}

func TestReportIsWritten(t *testing.T) {
	r, dir := madeUp(), filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	if err := r.write(dir, &out); err != nil {
		t.Fatal(err)
	}
	md, err := os.ReadFile(filepath.Join(dir, "results.md"))
	if err != nil || string(md) != out.String() || r.markdown() != out.String() {
		t.Errorf("results.md is not what was printed: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.failures() != 1 || back.Comparisons[0].Samples["stat-walk"]["antares"][1] != 2.5 {
		t.Errorf("results.json lost something: %s", b)
	}
}
