package gitrepo

import (
	"os"
	"strings"
	"syscall"
)

// environ returns the environment for git processes over gitDir: ours without what would point git elsewhere (we may be
// started by a hook, which has GIT_DIR set), plus the settings that the package comment promises.
func environ(gitDir string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !pointsElsewhere(name) {
			env = append(env, kv)
		}
	}
	env = append(env,
		"GIT_DIR="+gitDir,
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_TERMINAL_PROMPT=0",
		"LC_ALL=C",
		// Above this size git streams a blob instead of inflating all of it in memory first; its default is 512 MiB.
		"GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=core.bigFileThreshold",
		"GIT_CONFIG_VALUE_0=16m",
	)
	if !ownedByUs(gitDir) {
		// A missing object of a partial clone is fetched by a program that the repository's configuration names.
		env = append(env, "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none")
	}
	return env
}

// pointsElsewhere tells whether a variable of this name is one of those that `git rev-parse --local-env-vars` lists, or
// configuration handed down from a calling git.
func pointsElsewhere(name string) bool {
	switch name {
	case "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX",
		"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
		"GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS", "GIT_INTERNAL_SUPER_PREFIX", "GIT_CONFIG",
		"GIT_CONFIG_PARAMETERS", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS",
		"GIT_ICASE_PATHSPECS", "LC_ALL":
		return true
	default:
		return strings.HasPrefix(name, "GIT_CONFIG_COUNT") || strings.HasPrefix(name, "GIT_CONFIG_KEY_") ||
			strings.HasPrefix(name, "GIT_CONFIG_VALUE_")
	}
}

func ownedByUs(dir string) bool {
	var st syscall.Stat_t
	return syscall.Stat(dir, &st) == nil && int(st.Uid) == os.Geteuid()
}
