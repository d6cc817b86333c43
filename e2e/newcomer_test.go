package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNewcomer follows the README on a machine that has Go, git and curl and nothing else: a clone, `make run`, each
// command that it prints, Ctrl-C. A HOME and module and build caches of its own, so that everything is fetched and built.
func TestNewcomer(t *testing.T) {
	if !heavy() {
		t.Skip("it fetches every module and builds everything anew")
	}
	tool(t, "git")
	tool(t, "curl")
	home := t.TempDir()
	clone := filepath.Join(home, "sluice")
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GOMODCACHE=" + filepath.Join(home, "mod"), "GOCACHE=" + filepath.Join(home, "build"), "GOFLAGS=-modcacherw"}
	for _, name := range []string{"GOPROXY", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"} { // how this machine reaches the world
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	began := time.Now()
	steps := ""
	step := func(what string) {
		steps += fmt.Sprintf("| %s | %.1f s |\n", what, time.Since(began).Seconds())
	}
	newcomer := func(dir string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir, cmd.Env = dir, env
		return cmd
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := newcomer(home, "git", "clone", "-q", root, clone).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	step("git clone")
	run := newcomer(clone, "make", "run")
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to all that a terminal has in front
	var all bytes.Buffer
	stderr := &bytes.Buffer{}
	run.Stderr = stderr
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }() // of no use once it has ended
	commands := readTries(t, io.TeeReader(out, &all))
	step("`make run` says that it is ready: modules fetched, everything built")
	if len(commands) != 4 {
		t.Fatalf("it tells to try %q\n%s%s", commands, all.String(), stderr)
	}
	for _, c := range commands {
		got, err := newcomer(clone, "sh", "-c", c[0]).CombinedOutput()
		if err != nil || !strings.Contains(string(got), " "+c[1]+" ") {
			t.Errorf("%s: %v, want %s\n%s", c[0], err, c[1], got)
		}
	}
	step("each of the four requests that it tells to try answered as it says")
	if err := syscall.Kill(-run.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	err = run.Wait()
	step("Ctrl-C, and it has drained")
	if log := string(rest) + stderr.String(); !strings.Contains(log, "drained") {
		t.Errorf("it does not say that it drained (%v):\n%s", err, log)
	}
	t.Logf("\n| after | |\n|---|---|\n%s", steps)
	if name := os.Getenv("E2E_NEWCOMER_REPORT"); name != "" {
		write(t, name, "# A newcomer's first minutes\n\nA HOME, a module cache and a build cache of their own; seconds since the beginning, on a machine of 2 CPUs ("+time.Now().UTC().Format(time.DateOnly)+").\n\n| after | |\n|---|---|\n"+steps)
	}
}

// readTries reads to the end of what the demo tells to try: commands, and the status that each should give.
func readTries(t *testing.T, out io.Reader) (commands [][2]string) {
	t.Helper()
	try := regexp.MustCompile(`^\s+(curl .*?)\s+# (\d{3})`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch m := try.FindStringSubmatch(lines.Text()); {
		case m != nil:
			commands = append(commands, [2]string{m[1], m[2]})
		case len(commands) > 0:
			return commands
		}
		if len(commands) == 4 {
			return commands
		}
	}
	t.Fatalf("it ended before it was ready: %v", lines.Err())
	return nil
}
