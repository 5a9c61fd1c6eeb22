package changelist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// modulesFile says at which paths a repository has submodules.
const modulesFile = ".gitmodules"

// settleSubmodules finds the submodules among what the origin has no blob of. A change has no mode, and the commit of a
// submodule is in another repository; but so might a blob be missing that was lost. The two are told apart by the file in which
// git notes submodules.
func (p *plan) settleSubmodules(ctx context.Context, textOf TextOf) error {
	lost := slices.DeleteFunc(slices.Clone(p.changes), func(c *change) bool { return c.lost == nil })
	if len(lost) == 0 {
		return nil
	}
	modules := make(map[string]bool)
	for _, dir := range []place{{n: p.root}, {n: p.find(""), path: p.at}} { // of the repository, and what the changelist is of
		id, ok := dir.outcome(modulesFile)
		if !ok {
			continue
		}
		text, err := textOf(ctx, id)
		if err != nil {
			return fmt.Errorf("changelist: %s: %w", join(dir.path, modulesFile), err)
		}
		for _, path := range modulePaths(string(text)) {
			modules[join(dir.path, path)] = true
		}
	}
	for _, c := range lost {
		switch named := modules[p.full(c.Path)]; {
		case !named && errors.Is(c.lost, remote.ErrNotFound):
			return fmt.Errorf("%w: if it is a submodule, %s must say so", c.lost, modulesFile)
		case !named:
			return c.lost
		}
		c.mode = object.ModeGitlink
	}
	return nil
}

// outcome returns the blob that will stand at a name of a directory that was read.
func (dir place) outcome(file string) (id object.ID, ok bool) {
	if f := dir.n.below[file]; f != nil && f.puts != nil {
		return f.puts.ID, true
	} else if f != nil && f.removes {
		return id, false
	}
	i := slices.IndexFunc(dir.n.base, func(e object.Entry) bool { return e.Name == file && e.Mode != object.ModeTree })
	if i < 0 {
		return id, false
	}
	return dir.n.base[i].ID, true
}

// modulePaths returns the paths in the text of a .gitmodules, as git writes it. Other ways to say the same name none.
func modulePaths(text string) (paths []string) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = strings.HasPrefix(line, "[submodule ")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !inside || strings.TrimSpace(key) != "path" {
			continue
		}
		value = strings.TrimSpace(value)
		if plain, err := strconv.Unquote(value); err == nil && value[0] == '"' {
			value = plain
		}
		paths = append(paths, value)
	}
	return paths
}
