package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLiveCommandsOfDocs runs what the pages ask of a running process, line by line, against one in the state that the line is
// for. README's are not among them: it is played as a whole (TestReadmeIsTrue).
func TestLiveCommandsOfDocs(t *testing.T) {
	if os.Getenv("E2E_DRIVER") != "" {
		t.Skip("what the pages say holds whatever carries the connections")
	}
	t.Parallel()
	up := newUpstream(t)
	reader := &liveReader{up: up, serving: serve(t, up, setup{})}
	refused := <-begin(t, reader.serving.web, get("/secret"))
	if reader.refusal = refused.answer.head.Get("X-Request-Id"); reader.refusal == "" {
		t.Fatalf("a refused request has no ID: %v %v", refused.err, refused.answer.head)
	}
	for _, b := range documented(t) {
		if b.lang != "sh" && b.lang != "console" || b.page == "README.md" {
			continue
		}
		for i, line := range strings.Split(b.text, "\n") {
			if b.lang == "console" {
				prompted, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue
				}
				line = prompted
			}
			for _, words := range simpleCommands(line) {
				reader.play(t, b.at(i), words)
			}
		}
	}
	reader.account(t)
	if reader.asked < 25 || reader.stopped < 5 || reader.read < 3 {
		t.Errorf("%d questions, %d commands that end a process and %d looks at a receipt: the test looks at the wrong places", reader.asked, reader.stopped, reader.read)
	}
}

// liveReader is somebody who follows the pages.
type liveReader struct {
	up      *upstream
	serving *sluice
	refusal string // the ID of a request that it refused
	jq      []live // looks at the receipt, which is there in the end

	asked, stopped, read int
}

type live struct {
	at    string
	words []string
}

// play runs a command if it asks a running process.
func (r *liveReader) play(t *testing.T, at string, words []string) {
	t.Helper()
	switch filepath.Base(words[0]) {
	case "jq":
		r.jq = append(r.jq, live{at, words})
		return
	case "curl":
		r.asked++
		got, err := exec.Command("curl", replaced(words[1:], "REPLICA:9902", r.serving.probes)...).CombinedOutput()
		if err != nil || !strings.Contains(string(got), "ok") {
			t.Errorf("%s: %v %s", at, err, got)
		}
		return
	case "sluice":
	default:
		return
	}
	if words = words[1:]; len(words) == 0 {
		return
	}
	has := func(flags ...string) bool {
		return slices.ContainsFunc(flags, func(f string) bool { return slices.Contains(words, f) })
	}
	switch {
	case has("--generation"): // of a predecessor: handover_linux_test.go watches one
	case words[0] == "status", words[0] == "health", words[0] == "reload", words[0] == "why", words[0] == "drain" && has("--dry-run", "--once"):
		r.asked++
		r.ask(t, at, r.serving, words)
	case words[0] == "upgrade":
		r.stopped++
		h := serveHouse(t, r.up, setup{})
		r.ask(t, at, h.sluice, words)
		h.stop(t)
	case words[0] == "drain":
		r.stopped++
		r.drain(t, at, words, has)
	}
}

// drain plays a line about a drain on a process that has, or will have, one.
func (r *liveReader) drain(t *testing.T, at string, words []string, has func(...string) bool) {
	t.Helper()
	duck := "{min: 1s, max: 1s}" // time enough for whoever comes later
	if has("--watch", "--deadline") {
		duck = shortDuck
	}
	s := serve(t, r.up, setup{lameDuck: duck})
	var held net.Conn // a tunnel that keeps the drain going
	if has("--deadline", "--watch") {
		held = hold(t, s)
		defer held.Close()
	}
	if has("--undo", "--watch", "--ack", "--close", "--deadline") {
		r.ask(t, at, s, []string{"drain", "-c", "sluice.yaml"})
	}
	if has("--deadline") {
		s.await(t, "draining", func(r record) bool { return strings.HasPrefix(r.str("msg"), "draining") })
	}
	if has("--watch") { // which goes on until the process is gone
		first := sync.OnceFunc(func() {
			s.signal(t, syscall.SIGTERM)
			_ = held.Close()
		})
		r.follow(t, at, s, words, first)
		s.exit(t, patience)
		return
	}
	r.ask(t, at, s, words)
	if has("--undo") {
		s.await(t, "serving again", msg("serving"))
	}
	s.signal(t, syscall.SIGTERM)
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
}

// hold opens a tunnel. Who holds it closes it.
func hold(t *testing.T, s *sluice) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.raw, patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // it is a tunnel now
		t.Fatal(err)
	}
	return c
}

// ask runs a command against a process instead of the one that the page means.
func (r *liveReader) ask(t *testing.T, at string, s *sluice, words []string) {
	t.Helper()
	r.follow(t, at, s, words, func() {})
}

// spoken is output of which somebody is told that it has begun.
type spoken struct {
	bytes.Buffer
	begun func()
}

func (h *spoken) Write(b []byte) (int, error) {
	h.begun()
	return h.Buffer.Write(b)
}

// follow is ask with a call whenever the command says something.
func (r *liveReader) follow(t *testing.T, at string, s *sluice, words []string, said func()) {
	t.Helper()
	args := replaced(words, "sluice.yaml", s.file("sluice.yaml"))
	args = replaced(args, "/etc/sluice/sluice.yaml", s.file("sluice.yaml"))
	args = replaced(args, "unix:/run/sluice/admin.sock", "unix:"+s.file("admin.sock"))
	args = replaced(args, "1188878ca01d066aa372d5f546e6af2e", r.refusal)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, built.sluice, args...)
	cmd.Env = append(cmd.Environ(), "SLUICE_PROBES_ADDRESS="+s.probes, "SLUICE_ADMIN_ADDRESS=unix:"+s.file("admin.sock"))
	out := &spoken{begun: said}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: sluice %s: %v\n%s", at, strings.Join(words, " "), err, out.String())
	}
}

// account stops the process and has the receipt looked at as the pages do.
func (r *liveReader) account(t *testing.T) {
	t.Helper()
	r.serving.signal(t, syscall.SIGTERM)
	r.serving.exit(t, patience)
	if _, err := exec.LookPath("jq"); err != nil {
		if os.Getenv("E2E_TOOLS") == "required" {
			t.Errorf("jq is not installed: %v", err)
		}
		r.read = len(r.jq)
		return
	}
	for _, l := range r.jq {
		if !slices.Contains(l.words, "/var/lib/sluice/receipt.json") {
			continue
		}
		r.read++
		args := replaced(l.words[1:], "/var/lib/sluice/receipt.json", r.serving.file("receipt.json"))
		if out, err := exec.Command("jq", args...).CombinedOutput(); err != nil || len(out) == 0 {
			t.Errorf("%s: %s: %v %s", l.at, strings.Join(l.words, " "), err, out)
		}
	}
}

// replaced has every word that contains a text say another instead.
func replaced(words []string, old, now string) []string {
	out := slices.Clone(words)
	for i := range out {
		if out[i] == old || strings.Contains(out[i], old) && strings.Contains(out[i], "://") {
			out[i] = strings.Replace(out[i], old, now, 1)
		}
	}
	return out
}
