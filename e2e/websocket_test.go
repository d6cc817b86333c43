package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A stop ends WebSockets by their own handshake.

// closedWell holds both ends of each socket against what they are to hear, and against each other.
func (u *sockets) closedWell(t *testing.T, path string, clients []*socketEnd, code int) {
	t.Helper()
	u.running.Wait()
	for i, c := range clients {
		s := u.server(path, i)
		for name, e := range map[string]*socketEnd{"client": c, "server": s} {
			if e.err != nil {
				t.Errorf("%s %d: %v", name, i, e.err)
			}
			if e.code != code || !strings.Contains(e.reason, "retry-after=") {
				t.Errorf("%s %d heard %d %q, want %d and a hint", name, i, e.code, e.reason, code)
			}
		}
		if s.read != c.sent {
			t.Errorf("socket %d: the client sent %d messages, and %d arrived", i, c.sent, s.read)
		}
	}
}

// TestWebSocketsEndWithAClose: a stop in the middle of everything. Each end gets one whole Close,
// each message of a client arrives, and nothing was cut.
func TestWebSocketsEndWithAClose(t *testing.T) {
	t.Parallel()
	up := newSockets(t)
	s := serve(t, nil, setup{policy: up.policy(""), drain: "{timeout: 8s, idle_close: 500ms}"})
	const n = 30
	clients, wait := up.open(t, s.web, "/talk", n)
	s.signal(t, syscall.SIGTERM)
	wait()
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	_ = up.ln.Close()
	up.closedWell(t, "/talk", clients, 1001)
	r := s.receipt(t)
	if r.CutTotal+r.StuckTotal != 0 || r.Told != n || r.Outcomes.Completed != n {
		t.Errorf("cut %d, stuck %d, told %d, outcomes %+v; want %d told and completed", r.CutTotal, r.StuckTotal, r.Told, r.Outcomes, n)
	}
	// They go near the deadline, and not all at once.
	began, ended := r.phase("drain")
	if d := ended.Sub(began); d < 6*time.Second || d > 7900*time.Millisecond {
		t.Errorf("the drain took %v", d)
	}
}

// TestWebSocketsOfARouteEndAtOnce, with the code that it says.
func TestWebSocketsOfARouteEndAtOnce(t *testing.T) {
	t.Parallel()
	up := newSockets(t)
	// A client has a quarter of the lead to answer before the other side is told.
	s := serve(t, nil, setup{policy: up.policy("drain: {close_at: start, close_code: 1012},"), drain: "{timeout: 16s, idle_close: 500ms, close_lead: 4s}", extra: "platform: {stop_timeout: 40s}"})
	clients, wait := up.open(t, s.web, "/talk", 5)
	s.signal(t, syscall.SIGTERM)
	wait()
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	_ = up.ln.Close()
	up.closedWell(t, "/talk", clients, 1012)
	began, ended := s.receipt(t).phase("drain")
	if d := ended.Sub(began); d > 4*time.Second {
		t.Errorf("the drain took %v, and nobody had to be waited for", d)
	}
}

// TestWebSocketsWithLargeFrames, which go past the proxy's eyes: the end stands between them all the
// same.
func TestWebSocketsWithLargeFrames(t *testing.T) {
	t.Parallel()
	up := newSockets(t)
	// A client has a quarter of the lead to answer, behind what is queued for it.
	s := serve(t, nil, setup{policy: up.policy(""), drain: "{timeout: 16s, idle_close: 500ms, close_lead: 4s}", extra: "platform: {stop_timeout: 40s}"})
	clients, wait := up.open(t, s.web, "/large", 6)
	s.signal(t, syscall.SIGTERM)
	wait()
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	_ = up.ln.Close()
	up.closedWell(t, "/large", clients, 1001)
}

// TestWebSocketsThatDoNotAnswer are told, cut at the deadline, and named; nobody is reset.
func TestWebSocketsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	up := newSockets(t)
	s := serve(t, nil, setup{policy: up.policy(""), drain: "{timeout: 2s, idle_close: 500ms}"})
	clients, wait := up.open(t, s.web, "/mute", 3)
	s.signal(t, syscall.SIGTERM)
	wait()
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	_ = up.ln.Close()
	up.closedWell(t, "/mute", clients, 1001)
	r := s.receipt(t)
	if r.CutTotal != 3 || r.StuckTotal != 0 || r.Told != 3 {
		t.Errorf("cut %d, stuck %d, told %d", r.CutTotal, r.StuckTotal, r.Told)
	}
	for _, c := range r.Cut {
		if c.Cause != "deadline" || len(c.Requests) != 1 {
			t.Errorf("named as %+v", c)
		}
	}
}

// TestOperatorClosesAWebSocket: with the same goodbye, and the others talk on.
func TestOperatorClosesAWebSocket(t *testing.T) {
	t.Parallel()
	up := newSockets(t)
	s := serve(t, nil, setup{policy: up.policy("")})
	first, gone := up.open(t, s.web, "/first", 1)
	id := s.look(t).of("tunnel").ID
	others, wait := up.open(t, s.web, "/others", 2)
	s.drains(t, 0, "--close", strconv.FormatUint(id, 10))
	gone()
	if first[0].err != nil || first[0].code != 1001 {
		t.Errorf("the client heard %d %q, %v", first[0].code, first[0].reason, first[0].err)
	}
	eventually(t, "it is gone", func() bool { return s.look(t).Holders.Total.Tunnel == 2 })
	if told, _ := s.metric(t, `sluice_websockets_closed_total{state="told"}`); told != 1 {
		t.Errorf("%v were told", told)
	}
	if answered, _ := s.metric(t, `sluice_websockets_closed_total{state="answered"}`); answered != 1 {
		t.Errorf("%v answered", answered)
	}
	s.drains(t, 0, "--close", strconv.FormatUint(s.look(t).of("tunnel").ID, 10))
	s.drains(t, 0, "--close", strconv.FormatUint(s.look(t).of("tunnel").ID, 10))
	wait()
	_ = up.ln.Close()
	up.closedWell(t, "/first", first, 1001)
	up.closedWell(t, "/others", others, 1001)
}
