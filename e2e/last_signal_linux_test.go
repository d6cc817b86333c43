package e2e

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Issue 4: a signal between the end of the last service and the end of the process must not
// keep the receipt from being written. A pipe that nobody reads yet makes that moment long.

// endsInAPipe starts a proxy whose receipt goes to a pipe, and stops it: when it returns,
// everything is closed and the receipt waits for a reader.
func endsInAPipe(t *testing.T) (s *sluice, pipe string) {
	t.Helper()
	up := newUpstream(t)
	s = &sluice{dir: prepare(t, setup{policy: policyFor(up.web, up.raw, "v1")})}
	pipe = s.file("receipt.pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s.process = launchLogged(t, exec.Command(built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", pipe), nil, false)
	s.await(t, "serving", msg("serving"))
	s.signal(t, syscall.SIGTERM)
	s.await(t, "the receipt in the log", msg("receipt"))
	return s, pipe
}

func TestASignalAtTheEndLeavesTheReceipt(t *testing.T) {
	t.Parallel()
	s, pipe := endsInAPipe(t)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		s.signal(t, sig)
	}
	// Without O_NONBLOCK this would wait for a writer for ever, if that one is dead.
	f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text []byte
	eventually(t, "the whole receipt", func() bool {
		b, err := io.ReadAll(f)
		text = append(text, b...)
		return err == nil && len(text) > 0
	})
	var r receipt
	if err := json.Unmarshal(text, &r); err != nil {
		t.Errorf("%v in %q", err, text)
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestASignalAtTheEndBoundsTheReceipt(t *testing.T) {
	t.Parallel()
	s, _ := endsInAPipe(t)
	select {
	case <-s.exited:
		t.Fatal("it ended before its receipt was read: the test shows nothing")
	case <-time.After(100 * time.Millisecond): // nothing ends this by itself
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if s.find(msg("the receipt could not be written in time")) == nil {
		t.Error("the log does not say why there is no receipt")
	}
}
