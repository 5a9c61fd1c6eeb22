package main

import (
	"fmt"
	"strings"
)

// markdown is the report to read.
func (r *report) markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# Benchmark of %s\n\n", m.Commit)
	if r.Quick {
		b.WriteString("A quick run: it shows that everything works. Its numbers mean nothing.\n\n")
	}
	fmt.Fprintf(&b, "%s, Linux %s, %s, %d CPUs, %s, %s. Corpus %s: %d files in %d directories. Median of %d rounds, in microseconds an\n"+
		"operation; in brackets the ratio to %s in the same run.\n",
		r.Time.Format("2006-01-02"), m.Kernel, m.CPU, m.CPUs, m.Memory, m.Go, r.Corpus.Name, r.Corpus.Files, r.Corpus.Dirs, r.Rounds, overlayName)
	for _, c := range r.Comparisons {
		c.markdown(&b)
	}
	b.WriteString("\n## Workloads\n\n")
	for _, w := range workloads() {
		fmt.Fprintf(&b, "- %s: %s\n", w.name, w.about)
	}
	return b.String()
}

func (c *comparison) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Layers on %s\n\n| workload |", c.Ground)
	columns := c.columns()
	for _, name := range columns {
		fmt.Fprintf(b, " %s |", name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(columns)) + "\n")
	for _, w := range c.Order {
		fmt.Fprintf(b, "| %s |", w)
		for _, name := range columns {
			fmt.Fprintf(b, " %s |", c.cell(w, name))
		}
		b.WriteString("\n")
	}
	c.notes(b)
}

// columns are the contenders that took part.
func (c *comparison) columns() []string {
	var out []string
	for _, e := range c.Entrants {
		if e.LeftOut == "" {
			out = append(out, e.Name)
		}
	}
	return out
}

// cell is a median with its ratio.
func (c *comparison) cell(workload, contender string) string {
	if c.failed(workload, contender) {
		return "failed"
	}
	v, ok := c.micros(workload, contender)
	if !ok {
		return ""
	}
	cell := digits(v)
	if ratio, ok := c.ratio(workload, contender, overlayName); ok && contender != overlayName {
		cell += fmt.Sprintf(" (%.2f)", ratio)
	}
	return cell
}

// failed tells whether the contender failed in any round: a median of the others would hide it.
func (c *comparison) failed(workload, contender string) bool {
	for _, f := range c.Failures {
		if f.Contender == contender && (f.At == "start" || strings.HasPrefix(f.At, workload+",")) {
			return true
		}
	}
	return false
}

// digits writes three significant digits or all before the point.
func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// notes say what the table cannot.
func (c *comparison) notes(b *strings.Builder) {
	b.WriteString("\n")
	for _, e := range c.Entrants {
		fmt.Fprintf(b, "- %s: %s", e.Name, e.About)
		if e.LeftOut != "" {
			fmt.Fprintf(b, ". **Left out**: %s", e.LeftOut)
		}
		if e.ReadyMillis > 0 {
			fmt.Fprintf(b, "; ready after %.1f ms", e.ReadyMillis)
		}
		if e.PeakBytes > 0 {
			fmt.Fprintf(b, "; its server's peak resident set was %.1f MiB", float64(e.PeakBytes)/(1<<20))
		}
		b.WriteString("\n")
	}
	for _, w := range []string{"cold-stat", "cold-walk"} {
		for _, bare := range []string{"gofuse-memory", "gofuse-loopback"} {
			if ratio, ok := c.ratio(w, "antares", bare); ok {
				fmt.Fprintf(b, "- %s: antares needs %.2f times what %s does\n", w, ratio, bare)
			}
		}
	}
	for _, f := range c.Failures {
		fmt.Fprintf(b, "- **failed**: %s at %s: %s\n", f.Contender, f.At, strings.ReplaceAll(f.Error, "\n", "; "))
	}
}
