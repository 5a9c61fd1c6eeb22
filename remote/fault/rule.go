package fault

import (
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// Rule says which requests meet a fault. Fields that are zero ask for nothing.
type Rule struct {
	Name        string  `json:"name,omitempty"`        // for Set.Remove
	Method      string  `json:"method,omitempty"`      // the request's method
	Route       string  `json:"route,omitempty"`       // a part of the URL's path: "/file/blob/", or one blob's id
	Path        string  `json:"path,omitempty"`        // the URL's parameter path, as an absolute path
	Skip        int64   `json:"skip,omitempty"`        // so many of these requests pass first
	Count       int64   `json:"count,omitempty"`       // so many then meet the fault; 0 is all
	Probability float64 `json:"probability,omitempty"` // of each of these to meet it, up to 1; 0 is 1
	Seed        uint64  `json:"seed,omitempty"`        // makes the same choices each time

	Fault   Fault  `json:"-"`
	Removed func() `json:"-"` // called once the rule has been removed; may be nil
}

// State is a rule and how many requests matched it, and how many met its fault.
type State struct {
	Rule
	Matched int64 `json:"matched"`
	Met     int64 `json:"met"`
}

// active is a rule in a set.
type active struct {
	State
	rand *rand.Rand
}

// Set holds rules that may change while requests are answered. The zero Set has none.
type Set struct {
	mu    sync.Mutex
	rules []*active // replaced, never changed in place; each rule's numbers are protected by mu
}

// Add adds a rule behind those that are there.
func (s *Set) Add(rule Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &active{State: State{Rule: rule}, rand: rand.New(rand.NewPCG(rule.Seed, 0))} //nolint:gosec // repeatable on purpose
	s.rules = append(slices.Clone(s.rules), a)
}

// Remove removes the rules of this name and returns how many there were. A request that has met their fault already goes
// on with it, but for one that is held.
func (s *Set) Remove(name string) int {
	return s.remove(func(a *active) bool { return a.Name == name })
}

// Clear removes all rules.
func (s *Set) Clear() { s.remove(func(*active) bool { return true }) }

func (s *Set) remove(which func(*active) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := 0
	s.rules = slices.DeleteFunc(slices.Clone(s.rules), func(a *active) bool {
		if !which(a) {
			return false
		}
		removed++
		if a.Removed != nil {
			a.Removed()
		}
		return true
	})
	return removed
}

// Rules returns the rules with their numbers so far.
func (s *Set) Rules() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]State, 0, len(s.rules))
	for _, a := range s.rules {
		states = append(states, a.State)
	}
	return states
}

// Wrap returns next behind the faults of the set.
func (s *Set) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		rules := s.rules
		s.mu.Unlock()
		s.from(rules, next).ServeHTTP(w, r)
	})
}

// from returns next behind these rules.
func (s *Set) from(rules []*active, next http.Handler) http.Handler {
	if len(rules) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest := s.from(rules[1:], next)
		if s.meets(rules[0], r) {
			rules[0].Fault(w, r, rest)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// meets counts a request and tells whether it meets the rule's fault.
func (s *Set) meets(a *active, r *http.Request) bool {
	if !a.matches(r) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Matched++
	if a.Matched <= a.Skip || (a.Count > 0 && a.Met >= a.Count) {
		return false
	}
	if a.Probability > 0 && a.rand.Float64() >= a.Probability {
		return false
	}
	a.Met++
	return true
}

func (r *Rule) matches(req *http.Request) bool {
	if r.Method != "" && r.Method != req.Method || !strings.Contains(req.URL.Path, r.Route) {
		return false
	}
	return r.Path == "" || path.Clean("/"+r.Path) == path.Clean("/"+req.URL.Query().Get("path"))
}
