package keeper

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What processes find in their environment, beside systemd's variables.
const (
	envSocket = "ANTARES_KEEPER" // to an engine: the descriptor of its end of the socket pair
	envAdopt  = "ANTARES_ADOPT"  // to a keeper: SOCKET:PIDFD:PID of the engine that started it

	envStandby = "ANTARES_STANDBY" // to an engine: another one serves, and may hand over
)

// variables are all that a supervisor sets. They are about one process, and nobody it starts may take them for its own.
var variables = []string{
	envSocket, envAdopt, envStandby, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET", "FDSTORE", "WATCHDOG_USEC", "WATCHDOG_PID", "MAINPID",
}

// Unsupervised returns an environment without what a supervisor set.
func Unsupervised(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(variables, name)
	})
}

// SystemdStores tells whether systemd supervises this process and stores descriptors for it: systemd 254 and later say so.
func SystemdStores() bool {
	n, err := strconv.Atoi(os.Getenv("FDSTORE"))
	return os.Getenv("NOTIFY_SOCKET") != "" && err == nil && n > 0
}

// takeEnvironment returns the variables' values and unsets them.
func takeEnvironment() map[string]string {
	env := make(map[string]string, len(variables))
	for _, name := range variables {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
			_ = os.Unsetenv(name)
		}
	}
	return env
}

var errEnvironment = errors.New("the supervisor's environment is wrong")

// firstPassed is the first descriptor that is passed, as in sd_listen_fds(3).
const firstPassed = 3

// received returns the passed descriptors, from firstPassed on. systemd names the process that they are for. Our keeper cannot,
// since fork and exec are one step in Go: there its socket has come with them.
func received(env map[string]string) (stored, error) {
	var s stored
	if env["LISTEN_FDS"] == "" || env[envSocket] == "" && env[envAdopt] == "" && env["LISTEN_PID"] != strconv.Itoa(os.Getpid()) {
		return s, nil
	}
	n, err := strconv.Atoi(env["LISTEN_FDS"])
	if err != nil || n < 0 {
		return s, fmt.Errorf("%w: LISTEN_FDS=%q", errEnvironment, env["LISTEN_FDS"])
	}
	names := strings.Split(env["LISTEN_FDNAMES"], ":")
	for i := range n {
		fd := firstPassed + i
		unix.CloseOnExec(fd)
		name := "unknown" // as sd_listen_fds_with_names(3)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		if err := s.put(name, fd); err != nil {
			return s, err
		}
	}
	return s, nil
}

// watchdogOf returns systemd's limit for this process, 0 for none.
func watchdogOf(env map[string]string) time.Duration {
	if pid := env["WATCHDOG_PID"]; pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseUint(env["WATCHDOG_USEC"], 10, 40)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// numbers reads N:N:N.
func numbers(s string, n int) ([]int, error) {
	words := strings.Split(s, ":")
	if len(words) != n {
		return nil, fmt.Errorf("%w: %q", errEnvironment, s)
	}
	list := make([]int, n)
	for i, word := range words {
		v, err := strconv.Atoi(word)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%w: %q", errEnvironment, s)
		}
		list[i] = v
	}
	return list, nil
}
