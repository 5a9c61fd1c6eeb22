package testfs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// stateless are the operations that answer ENOSYS, upon which the kernel never sends them again.
var stateless = []string{"OPEN", "OPENDIR", "CREATE", "FLUSH", "ACCESS", "POLL"}

// deaths are what the log says of an engine or keeper that a test has killed or stopped.
var deaths = []string{
	`msg="engine died, `, `msg="keeper died, `, `msg="engine makes no progress, `, `msg="engine does not end, `,
}

// complaints says what is wrong with how the server did its work.
func (m *Mount) complaints() []string {
	var found []string
	for key, n := range m.result.Errors {
		op, errno, _ := strings.Cut(key, " ")
		switch {
		case errno == "ENOSYS" && !slices.Contains(stateless, op):
			found = append(found, fmt.Sprintf("%s answered ENOSYS (%d times)", op, n))
		case errno == "EIO" && !m.spec.EIO:
			found = append(found, fmt.Sprintf("%s answered EIO (%d times)", op, n))
		}
	}
	for line := range strings.Lines(m.Log()) {
		if m.killed.Load() && slices.ContainsFunc(deaths, func(said string) bool { return strings.Contains(line, said) }) {
			continue
		}
		bad := strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "level=ERROR") && !m.spec.Busy
		if warned := strings.Contains(line, "level=WARN") && !m.spec.EIO; bad || warned {
			found = append(found, "the log says: "+strings.TrimSpace(line))
		}
	}
	return found
}

func fmtInt(n int) string { return strconv.Itoa(n) }
