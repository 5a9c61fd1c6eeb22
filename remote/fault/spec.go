package fault

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrBadSpec reports a Spec that makes no sense.
var ErrBadSpec = errors.New("bad fault")

// Spec is a rule with its fault in words, for JSON and command lines.
type Spec struct {
	Rule
	Kind        string   `json:"kind"`                   // a name in Kinds
	Delay       Duration `json:"delay,omitempty"`        // of delay, and of each piece of trickle
	Status      int      `json:"status,omitempty"`       // of status
	RetryAfter  string   `json:"retry_after,omitempty"`  // of status
	ContentType string   `json:"content_type,omitempty"` // of answer
	Body        string   `json:"body,omitempty"`         // of answer
	Bytes       int64    `json:"bytes,omitempty"`        // before the fault in the body; the size of a piece of trickle
}

// Duration is a time.Duration that JSON has as text: "50ms".
type Duration time.Duration

// MarshalText writes it as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// kinds builds faults; hold, which ends when its rule is removed, is Build's own.
var kinds = map[string]func(Spec) Fault{
	"answer":      func(s Spec) Fault { return Answer(s.ContentType, s.Body) },
	"corrupt":     func(Spec) Fault { return Corrupt() },
	"cut":         func(s Spec) Fault { return Cut(s.Bytes) },
	"delay":       func(s Spec) Fault { return Delay(time.Duration(s.Delay)) },
	"hang":        func(Spec) Fault { return Hang() },
	"hold":        nil,
	"no-length":   func(Spec) Fault { return NoLength() },
	"page":        func(Spec) Fault { return Page() },
	"reset":       func(Spec) Fault { return Reset() },
	"reset-after": func(s Spec) Fault { return ResetAfter(s.Bytes) },
	"short":       func(s Spec) Fault { return Short(s.Bytes) },
	"stall":       func(s Spec) Fault { return StallAfter(s.Bytes) },
	"status":      func(s Spec) Fault { return RetryAfter(s.Status, s.RetryAfter) },
	"trickle":     func(s Spec) Fault { return Trickle(s.Bytes, time.Duration(s.Delay)) },
}

// Kinds returns the names of faults that a Spec may have, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Build returns the rule with its fault. A rule without a name is named by its kind.
func (s Spec) Build() (Rule, error) {
	build, ok := kinds[s.Kind]
	if !ok {
		return Rule{}, fmt.Errorf("%w: kind %q: give one of %s", ErrBadSpec, s.Kind, strings.Join(Kinds(), ", "))
	}
	if s.Kind == "status" && (s.Status < 200 || s.Status > 999) {
		return Rule{}, fmt.Errorf("%w: status %d: give one from 200 to 999", ErrBadSpec, s.Status)
	}
	if err := s.Check(); err != nil {
		return Rule{}, err
	}
	rule := s.Rule
	rule.Name = cmp.Or(rule.Name, s.Kind)
	if build != nil {
		rule.Fault = build(s)
		return rule, nil
	}
	until := make(chan struct{})
	rule.Fault, rule.Removed = Hold(until), sync.OnceFunc(func() { close(until) })
	return rule, nil
}

// Check refuses numbers that mean nothing.
func (s Spec) Check() error {
	if s.Probability < 0 || s.Probability > 1 {
		return fmt.Errorf("%w: probability %v: give one from 0 to 1", ErrBadSpec, s.Probability)
	}
	if s.Skip < 0 || s.Count < 0 || s.Delay < 0 || s.Bytes < 0 {
		return fmt.Errorf("%w: skip, count, delay and bytes may not be negative", ErrBadSpec)
	}
	return nil
}
