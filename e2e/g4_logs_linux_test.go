package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// G4, logs: a log that nobody reads, or that finds no room, costs lines and never a request
// or the stop; and what it cost is told.

func TestG4LogsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	const requests = 6000 // of some hundred bytes each: more than pipe and buffer hold
	for _, c := range []struct {
		name   string
		stdout func(t *testing.T) *os.File
		reason string
	}{
		{"a pipe that nobody reads", func(t *testing.T) *os.File {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() }) // open to the end: nobody reads, but nobody has hung up either
			return w
		}, "no_room"},
		{"a full file system", func(t *testing.T) *os.File {
			f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip(err)
			}
			return f
		}, "write_failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			s := &sluice{dir: prepare(t, setup{policy: policyFor(up.web, up.raw, "v1")})}
			cmd := exec.Command(built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", "/dev/full")
			out := c.stdout(t)
			cmd.Stdout = out
			s.process = launchLogged(t, cmd, nil, false)
			_ = out.Close()
			s.web, s.probes = s.listening(t, "listener", "web"), s.listening(t, "component", "probes")
			s.await(t, "serving", msg("serving"))
			w, err := connect(s.web, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			long := make([]byte, 600)
			for i := range long {
				long[i] = 'x'
			}
			for i := range requests {
				if a, err := w.ask(get(fmt.Sprintf("/%s%d", long, i))); err != nil || a.status != 200 {
					t.Fatalf("request %d: %d %v", i, a.status, err)
				}
			}
			eventually(t, "the loss is counted", func() bool {
				n, ok := s.metric(t, `sluice_log_lines_lost_total{log="access",reason="`+c.reason+`"}`)
				return ok && n > 0
			})
			_ = w.Close()
			s.signal(t, syscall.SIGTERM)
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if s.find(msg("the receipt file was not written")) == nil {
				t.Error("the log does not say that the receipt was not written")
			}
		})
	}
}
