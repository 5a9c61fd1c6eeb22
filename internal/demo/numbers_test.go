package main

import "testing"

func TestNumbersTellDefectsFromOrdinaryErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		error string
		ok    bool
	}{
		{"stateless mode's own", "OPEN ENOSYS", true},
		{"a name that has no attribute", "GETXATTR ENODATA", true},
		{"a rename that is not possible", "RENAME2 EXDEV", true},
		{"an operation that is missing", "WRITE ENOSYS", false},
		{"an origin that failed", "READ EIO", false},
		{"one of the stateless that failed", "OPEN EIO", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := numbers{Errors: map[string]uint64{tt.error: 1}}
			if err := n.check(); (err == nil) != tt.ok {
				t.Errorf("check() = %v, want none: %v", err, tt.ok)
			}
		})
	}
	damaged := numbers{}
	damaged.Cache.Mismatches = 1
	if damaged.check() == nil {
		t.Error("a damaged object is no defect")
	}
}

func TestHitRate(t *testing.T) {
	var n numbers
	if got := n.hitRate(); got != 0 {
		t.Errorf("without a read it is %v", got)
	}
	n.Cache.MemoryHits, n.Cache.DiskHits, n.Cache.Misses = 2, 1, 1
	if got := n.hitRate(); got != 0.75 {
		t.Errorf("3 of 4 are %v", got)
	}
}
