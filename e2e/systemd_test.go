package e2e

import (
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// systemd is the socket that a unit of Type=notify gets, and what was said on it.
type systemd struct {
	path string

	mu    sync.Mutex // guards heard
	heard []string
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	d := &systemd{path: filepath.Join(t.TempDir(), "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}) // closed by listen
	go d.listen(c, done)
	t.Cleanup(func() {
		_ = c.Close()
		<-done
		if t.Failed() {
			t.Logf("systemd heard %q", d.all())
		}
	})
	return d
}

// listen ends when c is closed.
func (d *systemd) listen(c *net.UnixConn, done chan<- struct{}) {
	defer close(done)
	b := make([]byte, 4096)
	for {
		n, _, err := c.ReadFromUnix(b)
		if err != nil {
			return
		}
		d.mu.Lock()
		d.heard = append(d.heard, strings.Split(string(b[:n]), "\n")...)
		d.mu.Unlock()
	}
}

func (d *systemd) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.heard...)
}

// has reports whether an assignment that begins so was heard.
func (d *systemd) has(prefix string) bool {
	for _, line := range d.all() {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// last is the value that was assigned last.
func (d *systemd) last(name string) (value string) {
	for _, line := range d.all() {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			value = v
		}
	}
	return value
}

// TestSystemdHearsAStop: READY when it serves, STOPPING at SIGTERM, and the last STATUS
// says what became of the connections: it is what `systemctl status` shows from then on.
func TestSystemdHearsAStop(t *testing.T) {
	t.Parallel()
	d := newSystemd(t)
	s := serve(t, newUpstream(t), setup{env: []string{"NOTIFY_SOCKET=" + d.path}})
	eventually(t, "READY", func() bool { return d.has("READY=1") })
	if d.has("STOPPING=1") {
		t.Error("STOPPING before anybody asked for a stop")
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	eventually(t, "STOPPING", func() bool { return d.has("STOPPING=1") })
	eventually(t, "the receipt in the last STATUS", func() bool { return strings.HasPrefix(d.last("STATUS"), "drained clean") })
}

// TestSystemdAndADrainThatMayBeUndone: systemd kills whoever said STOPPING after
// TimeoutStopSec. A lame duck that was asked for by API may be undone, and a drain that
// parks does not exit: neither is a stop until a signal makes it one.
func TestSystemdAndADrainThatMayBeUndone(t *testing.T) {
	t.Parallel()
	d := newSystemd(t)
	s := serve(t, newUpstream(t), setup{lameDuck: "{min: 300ms, max: 300ms, notice_after: 100ms}", env: []string{"NOTIFY_SOCKET=" + d.path}})
	ask := func(args ...string) {
		t.Helper()
		if out, code := s.cli(t, append(args, "-c", s.file("sluice.yaml"))...); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, out)
		}
	}
	ask("drain", "--park")
	eventually(t, "it is drained", func() bool {
		v, _ := s.metric(t, `sluice_lifecycle_state{state="drained"}`)
		return v == 1
	})
	eventually(t, "systemd hears of it", func() bool { return strings.HasPrefix(d.last("STATUS"), "drained clean") })
	if d.has("STOPPING=1") {
		t.Error("STOPPING for a drain that parks")
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	eventually(t, "STOPPING at SIGTERM", func() bool { return d.has("STOPPING=1") })
}
