package keeper

import (
	"bytes"
	"os"
	"strconv"
)

// oomGain is by how much rather an engine is killed than its keeper when memory is short.
const oomGain = 500

// oomScore is what the engines' oom_score_adj should be: what we had before we took a lower one. Zero: we could not.
type oomScore struct {
	lowered bool
	engines int
}

func lowerOOMScore() (s oomScore) {
	const own = "/proc/self/oom_score_adj"
	b, err := os.ReadFile(own)
	if err != nil {
		return s
	}
	if s.engines, err = strconv.Atoi(string(bytes.TrimSpace(b))); err != nil {
		return s
	}
	s.lowered = os.WriteFile(own, []byte(strconv.Itoa(max(s.engines-oomGain, -1000))), 0) == nil
	return s
}

// give gives it to an engine, which was born with ours.
func (s oomScore) give(pid int) {
	if s.lowered {
		_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(strconv.Itoa(s.engines)), 0)
	}
}
