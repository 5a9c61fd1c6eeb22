package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// print says what was done.
func (r *run) print(w io.Writer) {
	fmt.Fprintf(w, "mode %s, seed %d: %d kills, all programs ended well, all that was checked was right\n", r.s.o.mode, r.s.o.seed, r.k.kills)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "program\toperations\ta second, without kills\twith kills\tlongest\t")
	for _, p := range slices.SortedFunc(slices.Values(r.programs), func(a, b *program) int { return bytes.Compare([]byte(a.name), []byte(b.name)) }) {
		last := p.report()
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%v\t\n", p.name, last.Ops, r.calm.rate(p.name), r.wild.rate(p.name), last.Stall.Round(time.Millisecond))
	}
	_ = t.Flush()
	if r.k.kills == 0 {
		return
	}
	fmt.Fprintf(w, "longest time until there was another engine: %v\n", r.k.slow.Round(time.Millisecond))
	if r.early != nil && r.late != nil {
		fmt.Fprintf(w, "keeper after %d restarts: %v\n       at the end: %v\n", settled, r.early.keeper, r.late.keeper)
		fmt.Fprintf(w, "engine after %d restarts: %v\n       at the end: %v\n", settled, r.early.engine, r.late.engine)
	}
	r.printLog(w)
}

func (p phase) rate(name string) string {
	if p.took == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(p.ops[name])/p.took.Seconds())
}

// printLog counts the messages of the log that have to do with restarts.
func (r *run) printLog(w io.Writer) {
	b, _ := os.ReadFile(r.s.log)
	counts := make(map[string]int)
	for line := range bytes.Lines(b) {
		_, rest, ok := bytes.Cut(line, []byte("msg="))
		if !ok {
			continue
		}
		message := string(rest)
		if rest[0] == '"' {
			message, _, _ = cutQuoted(message)
		} else if end := bytes.IndexByte(rest, ' '); end > 0 {
			message = message[:end]
		}
		counts[message]++
	}
	for _, message := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "log: %d x %s\n", counts[message], message)
	}
}

// cutQuoted cuts a text behind its second quotation mark.
func cutQuoted(text string) (head, rest string, ok bool) {
	for i := 1; i < len(text); i++ {
		if text[i] == '"' {
			return text[:i+1], text[i+1:], true
		}
	}
	return text, "", false
}
