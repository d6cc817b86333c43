package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestReadmeIsTrue plays what README shows, word for word, in a network namespace of its own: the
// demo with the answers that it promises, the proxy before a server of one's own, and every command that asks
// a running one, from validate to the end of the drain.
func TestReadmeIsTrue(t *testing.T) {
	if os.Getenv(insideEnv) == "" {
		t.Parallel()
		needNamespaces(t)
		if out, err := isolated("TestReadmeIsTrue", "readme").CombinedOutput(); err != nil || bytes.Contains(out, []byte("--- SKIP")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	up := &http.Server{Addr: "127.0.0.1:9000", ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })}
	defer up.Close()
	go up.ListenAndServe() // ends with Close
	r := newReader(t)
	blocks := blocksOf("README.md", read(t, "../README.md"))
	keys := blocksOf("docs/policy.md", read(t, "../docs/policy.md"))
	for _, b := range append(blocks, keys...) {
		putFile(t, r.dir, "README.md", b)
	}
	played := 0
	for _, b := range blocks {
		if b.lang != "console" {
			continue
		}
		for i, line := range strings.Split(b.text, "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				played += r.play(b.at(i), command)
			} else if m := curled.FindStringSubmatch(line); m != nil {
				r.ask(b.at(i), line, m)
			}
		}
		r.end()
	}
	if played < 12 {
		t.Errorf("%d commands were played: the test looks at the wrong blocks", played)
	}
}

// reader does what a person does who reads README.
type reader struct {
	t      *testing.T
	dir    string
	env    []string
	server *running // what runs in the other terminal
}

func newReader(t *testing.T) *reader {
	r := &reader{t: t, dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(r.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	install(t, built.sluice, filepath.Join(r.dir, "bin/sluice"))
	if err := os.CopyFS(filepath.Join(r.dir, "manifests"), os.DirFS("../deploy/kubernetes")); err != nil {
		t.Fatal(err)
	}
	// README names this file, and docs/policy.md has its form.
	write(t, filepath.Join(r.dir, "policy-tests.yaml"), "policy: policy\ncases:\n- {name: engineers may, request: {host: app.example.com}, identity: {user: u, groups: [engineers]}, expect: allow}\n")
	// The times are shorter than the defaults: a reader waits, a test does not.
	r.env = append(os.Environ(), "PATH="+filepath.Join(r.dir, "bin")+":"+os.Getenv("PATH"), "SLUICE_LAME_DUCK_MIN=200ms", "SLUICE_LAME_DUCK_MAX=400ms",
		"SLUICE_LAME_DUCK_QUIET=100ms", "SLUICE_UPGRADE_TAKE_BACK=300ms")
	return r
}

// play runs one command. Servers run on while the commands behind them ask.
func (r *reader) play(at, line string) int {
	words := simpleCommands(line)
	if len(words) != 1 || filepath.Base(words[0][0]) != "sluice" {
		return 0 // make: the Makefile's targets are the tests
	}
	args := words[0][1:]
	for i, a := range args {
		if a == "REQUEST-ID" {
			args[i] = r.refused()
		}
	}
	r.t.Log("$ sluice ", strings.Join(args, " "))
	if args[0] == "run" || args[0] == "demo" {
		r.server = r.start(at, args)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.dir, "bin/sluice"), args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	finds := args[0] == "doctor" && cmd.ProcessState.ExitCode() == 1 // what it finds in these files is not the matter
	if err != nil && !finds {
		r.t.Errorf("%s: sluice %s: %v\n%s", at, strings.Join(args, " "), err, out)
	}
	return 1
}

// refused sends a request that README's policy refuses, and returns its ID.
func (r *reader) refused() string {
	req, err := http.NewRequest("GET", "http://127.0.0.1:8080/", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = "app.example.com"
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 401 {
		r.t.Errorf("without a key the answer is %d, want 401", resp.StatusCode)
	}
	return resp.Header.Get("X-Request-ID")
}

// running is a server in the other terminal.
type running struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *running) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *running) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (r *reader) start(at string, args []string) *running {
	s := &running{cmd: exec.Command(filepath.Join(r.dir, "bin/sluice"), args...), exited: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = r.dir, r.env
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { // ends with the process
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	r.t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	eventually(r.t, at+": it is ready", func() bool {
		select {
		case <-s.exited:
			r.t.Fatalf("%s: sluice %v ended:\n%s", at, args, s.said())
		default:
		}
		resp, err := http.Get("http://127.0.0.1:9902/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == 200
	})
	return s
}

// end stops what runs, as Ctrl-C does at a terminal; it may be over already.
func (r *reader) end() {
	s := r.server
	if s == nil {
		return
	}
	r.server = nil
	for range 2 { // the second skips the lame duck
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		r.t.Fatalf("it does not end:\n%s", s.said())
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		r.t.Errorf("exit code %d, want 0:\n%s", code, s.said())
	}
	eventually(r.t, "nobody answers", func() bool {
		resp, err := http.Get("http://127.0.0.1:9902/livez")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err != nil
	})
}

// curled is a line that README shows as printed by the demo: flags, address, the status that is promised.
var curled = regexp.MustCompile(`^\s*curl -i(?: -H '([^:']+): ([^']+)')? (http://\S+)\s+# (\d{3})`)

// ask does what a line says, and compares both the answer and the line with what is printed in truth.
func (r *reader) ask(at, line string, m []string) {
	req, err := http.NewRequest("GET", m[3], nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if m[1] != "" {
		req.Header.Set(m[1], m[2])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Errorf("%s: %v", at, err)
		return
	}
	_ = resp.Body.Close()
	if want, _ := strconv.Atoi(m[4]); resp.StatusCode != want {
		r.t.Errorf("%s: %s answers %d", at, m[3], resp.StatusCode)
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	shown, _, _ := strings.Cut(squeeze(line), " #")
	if !strings.Contains(squeeze(r.server.said()), shown) {
		r.t.Errorf("%s: the demo does not print %q:\n%s", at, shown, r.server.said())
	}
}
