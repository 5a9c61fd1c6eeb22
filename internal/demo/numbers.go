package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// numbers are what a mount writes to its --stats file.
type numbers struct {
	OriginRequests uint64            `json:"origin_requests"`
	OriginBytes    uint64            `json:"origin_bytes"`
	Requests       map[string]uint64 `json:"requests"`
	Errors         map[string]uint64 `json:"errors"`
	Cache          struct{ MemoryHits, DiskHits, Misses, Mismatches, DiskErrors uint64 }
}

// unimplemented are the operations that may answer ENOSYS, upon which the kernel does them itself.
var unimplemented = []string{"OPEN", "OPENDIR", "CREATE", "FLUSH", "ACCESS", "POLL"}

// numbers reports what the mount counted. The mount and the server must agree, and no request may have failed for a
// reason that is ours.
func (s *stage) numbers(context.Context) (string, error) {
	b, err := os.ReadFile(s.stats)
	if err != nil {
		return "", err
	}
	var n numbers
	if err := json.Unmarshal(b, &n); err != nil {
		return "", fmt.Errorf("%s: %w", s.stats, err)
	}
	asked, err := s.requests()
	if err != nil {
		return "", err
	}
	if uint64(asked) != n.OriginRequests {
		return "", fmt.Errorf("the mount counted %d requests to the origin, the server %d", n.OriginRequests, asked)
	}
	if err := n.check(); err != nil {
		return "", err
	}
	var fuse uint64
	for _, c := range n.Requests {
		fuse += c
	}
	return fmt.Sprintf("%d requests to the origin, %d KB received\n"+
		"content store: %.1f %% of %d reads hit, %d of them in memory\n%d requests from the kernel",
		n.OriginRequests, n.OriginBytes>>10, 100*n.hitRate(), n.reads(), n.Cache.MemoryHits, fuse), nil
}

// check looks for errors that only a defect explains.
func (n *numbers) check() error {
	var errs []error
	for what, count := range n.Errors {
		op, name, _ := strings.Cut(what, " ")
		allowed := false
		for _, u := range unimplemented {
			allowed = allowed || op == u
		}
		if strings.HasPrefix(name, "EIO") || strings.HasPrefix(name, "ENOSYS") && !allowed {
			errs = append(errs, fmt.Errorf("%d times %s", count, what))
		}
	}
	if bad := n.Cache.Mismatches + n.Cache.DiskErrors; bad > 0 {
		errs = append(errs, fmt.Errorf("%d damaged or unreadable objects in the content store", bad))
	}
	return errors.Join(errs...)
}

func (n *numbers) reads() uint64 { return n.Cache.MemoryHits + n.Cache.DiskHits + n.Cache.Misses }

// hitRate is the part of the reads that the content store answered, from 0 to 1.
func (n *numbers) hitRate() float64 {
	if n.reads() == 0 {
		return 0
	}
	return float64(n.reads()-n.Cache.Misses) / float64(n.reads())
}
