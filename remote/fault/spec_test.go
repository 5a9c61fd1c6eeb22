package fault_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/antares-actor/antares-actor/remote/fault"
)

// specs is JSON for each kind that ends by itself, with the answer that it makes of page.
var specs = map[string]struct {
	json   string
	status int
	body   string
}{
	"answer":    {`{"kind":"answer","content_type":"text/plain","body":"x"}`, 200, "x"},
	"corrupt":   {`{"kind":"corrupt"}`, 202, text[:10] + "A" + text[11:]},
	"cut":       {`{"kind":"cut","bytes":3}`, 202, text[:3]},
	"delay":     {`{"kind":"delay","delay":"1us"}`, 202, text},
	"no-length": {`{"kind":"no-length"}`, 202, text},
	"page":      {`{"kind":"page"}`, 200, "<html><body>Sign in</body></html>"},
	"reset":     {`{"kind":"reset"}`, 0, ""},
	// What came before a reset may be lost.
	"short":   {`{"kind":"short","bytes":4}`, 202, text[:4]},
	"status":  {`{"kind":"status","status":429,"retry_after":"2"}`, 429, ""},
	"trickle": {`{"kind":"trickle","bytes":9,"delay":"1us"}`, 202, text},
}

func TestEachKindIsBuiltFromItsWords(t *testing.T) {
	for _, kind := range fault.Kinds() {
		tt, ok := specs[kind]
		if !ok {
			if kind == "hold" || kind == "hang" || kind == "stall" || kind == "reset-after" {
				continue // TestHeldRequestsGoOnOnceTheRuleIsRemoved, TestSilenceLastsUntilTheClientLeaves, TestResetAfterIsAReset
			}
			t.Fatalf("no case for %s", kind)
		}
		t.Run(kind, func(t *testing.T) {
			var spec fault.Spec
			if err := json.Unmarshal([]byte(tt.json), &spec); err != nil {
				t.Fatal(err)
			}
			rule, err := spec.Build()
			if err != nil || rule.Name != kind {
				t.Fatalf("%+v, %v", rule, err)
			}
			got := fetch(t.Context(), http.MethodGet, serve(t, rule.Fault))
			if got.status != tt.status || got.body != tt.body {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestHeldRequestsGoOnOnceTheRuleIsRemoved(t *testing.T) {
	rule, err := fault.Spec{Kind: "hold"}.Build()
	if err != nil {
		t.Fatal(err)
	}
	var s fault.Set
	arrived := make(chan struct{})
	s.Add(fault.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		close(arrived)
		next.ServeHTTP(w, r)
	}})
	s.Add(rule)
	answered := make(chan []int)
	go func() { answered <- statuses(t, &s, 1, http.MethodGet, "/") }()
	<-arrived
	select {
	case got := <-answered:
		t.Errorf("answered %v", got)
	default:
	}
	if s.Remove("hold") != 1 {
		t.Error("there is no rule of that name")
	}
	if got := <-answered; got[0] != http.StatusAccepted {
		t.Errorf("%v", got)
	}
}

func TestSpecsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"kind":"nope"}`, `{"kind":"status"}`, `{"kind":"status","status":42}`, `{"kind":"cut","bytes":-1}`,
		`{"kind":"page","probability":1.5}`, `{"kind":"page","count":-1}`, `{"kind":"delay","delay":"-1s"}`,
	} {
		var spec fault.Spec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			t.Fatal(err)
		}
		if _, err := spec.Build(); !errors.Is(err, fault.ErrBadSpec) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var spec fault.Spec
	if err := json.Unmarshal([]byte(`{"kind":"delay","delay":"soon"}`), &spec); err == nil {
		t.Error("a delay that is none is read")
	}
	in := fault.Spec{Rule: fault.Rule{Name: "n", Route: "/x", Count: 3}, Kind: "delay", Delay: 1500}
	b, err := json.Marshal(in)
	if string(b) != `{"name":"n","route":"/x","count":3,"kind":"delay","delay":"1.5µs"}` || err != nil {
		t.Errorf("%s, %v", b, err)
	}
}
