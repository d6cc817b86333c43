package e2e

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// G5: it tells the story to the end. Probes, metrics and status answer until the last
// connection is gone. (That they answer through every stop under load: see judge.)

// TestG5MetricsAndStatusWhileDraining scrapes while one tunnel holds the drain.
func TestG5MetricsAndStatusWhileDraining(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 12s, idle_close: 500ms}"})
	w := tunnel(t, s, "raw", "")
	if got, _ := s.metric(t, `sluice_lifecycle_state{state="serving"}`); got != 1 {
		t.Errorf("serving is %v, want 1", got)
	}
	s.signal(t, syscall.SIGTERM)
	s.await(t, "lame duck", msg("lame duck"))
	if code, body := s.probe(t, "/readyz"); code != 503 {
		t.Errorf("/readyz says %d %q in the lame duck, want 503", code, body)
	}
	s.await(t, "draining", msg("draining"))
	for path, want := range map[string]int{"/readyz": 503, "/servingz": 503, "/livez": 200, "/healthz": 200, "/startupz": 200} {
		if code, body := s.probe(t, path); code != want {
			t.Errorf("%s says %d %q while draining, want %d", path, code, body, want)
		}
	}
	// The listeners are closed first, and only then the account of the drain begins.
	eventually(t, "sluice_drain_connections_remaining is 1", func() bool { return s.sum(t, "sluice_drain_connections_remaining") == 1 })
	if got := s.sum(t, "sluice_drain_connections_initial"); got != 1 {
		t.Errorf("sluice_drain_connections_initial adds up to %v, want 1", got)
	}
	deadline, _ := s.metric(t, "sluice_drain_deadline_timestamp_seconds")
	if left := time.Until(time.Unix(int64(deadline), 0)); left < 5*time.Second || left > 13*time.Second {
		t.Errorf("the deadline is %v away, want at most 12s", left)
	}
	status := s.status(t)
	drain, _ := status["drain"].(map[string]any)
	if drain["state"] != "draining" && drain["state"] != "DRAINING" {
		t.Errorf("status says %v, want draining", drain["state"])
	}
	if left, _ := drain["seconds_left"].(float64); left <= 5 || left > 12 {
		t.Errorf("status says %v seconds are left, want at most 12", left)
	}
	l := newLedger()
	closing(l, w)
	if len(l.lost) > 0 {
		t.Errorf("the tunnel: %q", l.lost)
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestG5ObserversHoldNothingUp: open probe, scrape and admin connections, busy, idle and
// half-way through a request, do not keep the process alive (invariant 9).
func TestG5ObserversHoldNothingUp(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	idle, half, admin := dial(t, s.probes), dial(t, s.probes), dialUnix(t, s.file("admin.sock"))
	for _, c := range []net.Conn{idle, admin} {
		if _, err := io.WriteString(c, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAtLeast(c, make([]byte, 4096), 16); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(half, "GET /metrics HTTP/1.1\r\nHost: loc"); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	r := s.receipt(t)
	began, ended := r.phase("drain")
	if ended.Sub(began) > grace {
		t.Errorf("the drain lasted %v with nobody but observers, want none", ended.Sub(began))
	}
	// Whoever does not read or finish is given half a second before the close by force.
	if d := s.exitAt.Sub(r.last()); d > 3*time.Second {
		t.Errorf("exit %v after the last handle, want at most what closing the observers may take", d)
	}
}

func dialUnix(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// TestG5TheReceiptIsTheSameEverywhere: in the file and in the log.
func TestG5TheReceiptIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	if a, err := once(s.web, get("/")); err != nil || a.status != 200 {
		t.Fatalf("GET: %d %v", a.status, err)
	}
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
	logged, err := json.Marshal(s.await(t, "receipt", msg("receipt"))["receipt"])
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(logged, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(read(t, s.file("receipt.json"))), &b); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if string(x) != string(y) {
		t.Errorf("log and file differ:\n%s\n%s", x, y)
	}
	if !strings.Contains(string(x), `"trigger":"SIGTERM"`) {
		t.Errorf("the receipt does not say what began the stop: %s", x)
	}
}
