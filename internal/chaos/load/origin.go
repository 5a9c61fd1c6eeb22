package load

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

const (
	packages = 24   // of the Go module
	sources  = 24   // of the C project
	listed   = 3000 // names of the large directory
	lowSize  = 50_000
)

// Files returns what the repository has for these programs, by path. A holder needs some files anew after each cut.
func Files(seed uint64, cuts int) map[string][]byte {
	files := make(map[string][]byte)
	add := func(path, text string) { files[path] = []byte(text) }
	add("go/go.mod", "module example.org/chaos\n\ngo 1.24\n")
	var imports, sum strings.Builder
	for i := range packages {
		add(fmt.Sprintf("go/p%d/p.go", i), goSource(i, i))
		fmt.Fprintf(&imports, "\t\"example.org/chaos/p%d\"\n", i)
		fmt.Fprintf(&sum, "\tsum += p%d.Value()\n", i)
	}
	// println, and nothing imported: compiling the runtime alone is work enough for a first build.
	add("go/main.go", "package main\n\nimport (\n"+imports.String()+")\n\nfunc main() {\n\tsum := 0\n"+sum.String()+"\tprint(sum)\n}\n")
	var list, protos, total strings.Builder
	for i := range sources {
		add(fmt.Sprintf("c/s%d.c", i), cSource(i, i))
		fmt.Fprintf(&list, " s%d.c", i)
		fmt.Fprintf(&protos, "int value%d(void);\n", i)
		fmt.Fprintf(&total, " + value%d()", i)
	}
	add("c/main.c", "#include <stdio.h>\n"+protos.String()+"int main(void) { fprintf(stderr, \"%d\", 0"+total.String()+"); return 0; }\n")
	add("c/CMakeLists.txt", "cmake_minimum_required(VERSION 3.18)\nproject(chaos C)\nadd_executable(sum main.c"+list.String()+")\n")
	for i := range listed {
		add(steady(i), "")
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range cuts + 1 {
		for _, kind := range []string{"read", "written", "mapped"} {
			files[low(kind, i)] = model.Bytes(r, lowSize)
		}
	}
	return files
}

func goSource(i, value int) string {
	return fmt.Sprintf("package p%d\n\n// Value is part of the sum.\nfunc Value() int { return %d }\n", i, value)
}

func cSource(i, value int) string {
	return fmt.Sprintf("int value%d(void) { return %d; }\n", i, value)
}

// steady is a file of the large directory that nobody touches.
func steady(i int) string { return fmt.Sprintf("large/a-name-that-stays-%d", i) }

// low is a file of the lower layer for a holder's generation.
func low(kind string, generation int) string { return fmt.Sprintf("low/%s-%d", kind, generation) }
