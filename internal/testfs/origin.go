package testfs

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Mono serves a git repository by "antares-actor mono" until the test ends, with these flags too, and returns
// its address.
func (l *Lab) Mono(repo string, flags ...string) string {
	l.t.Helper()
	log, err := os.Create(l.Path("mono" + fmtInt(l.number())))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(l.Program(), append([]string{"mono", "--git", repo, "--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", l.Env(), log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.stopMono(cmd) })
	line, _ := bufio.NewReader(stdout).ReadString('\n') // or its end, if it cannot start
	_, url, ok := strings.Cut(strings.TrimSpace(line), " on ")
	if !ok {
		text, _ := os.ReadFile(log.Name())
		l.t.Fatalf("mono says %q\n%s", line, text)
	}
	return url
}

// stopMono ends the server as an operator would.
func (l *Lab) stopMono(cmd *exec.Cmd) {
	l.t.Helper()
	hard := time.AfterFunc(endLimit, func() { _ = cmd.Process.Kill() })
	defer hard.Stop()
	_ = cmd.Process.Signal(unix.SIGTERM)
	if err := cmd.Wait(); err != nil {
		l.t.Errorf("mono: %v", err)
	}
}
