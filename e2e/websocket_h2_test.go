package e2e

import (
	"fmt"
	"syscall"
	"testing"
)

// A stop ends WebSockets over HTTP/2 by their own handshake as well, on either side (RFC 8441).

// crossing is a pair of protocols.
type crossing struct{ h2Client, h2Server bool }

func (c crossing) String() string {
	name := map[bool]string{false: "http1", true: "http2"}
	return name[c.h2Client] + " to " + name[c.h2Server]
}

// crossings are the pairs in which one is HTTP/2; TestWebSocketsEndWithAClose has the fourth.
var crossings = []crossing{{h2Client: true}, {h2Server: true}, {true, true}}

// open makes n WebSockets, and says on how many connections.
func (c crossing) open(t *testing.T, u *sockets, addr, path string, n int) (clients []*socketEnd, wait func(), conns int) {
	t.Helper()
	if !c.h2Client {
		clients, wait = u.open(t, addr, path, n)
		return clients, wait, n
	}
	clients, wait = u.openH2(t, addr, path, n)
	return clients, wait, 1
}

// TestWebSocketsOverHTTP2EndWithAClose: as TestWebSocketsEndWithAClose, on both drivers. The connection is told to go at
// once, and waits for its WebSockets.
func TestWebSocketsOverHTTP2EndWithAClose(t *testing.T) {
	t.Parallel()
	for _, c := range crossings {
		for _, driver := range []string{"epoll", "portable"} {
			t.Run(fmt.Sprintf("%s, %s", c, driver), func(t *testing.T) {
				t.Parallel()
				up := socketsOf(t, c.h2Server)
				s := serve(t, nil, setup{policy: up.policy(""), drain: "{timeout: 6s, idle_close: 500ms}", env: []string{"SLUICE_ENGINE_DRIVER=" + driver}})
				clients, wait, conns := c.open(t, up, s.web, "/talk", 8)
				s.signal(t, syscall.SIGTERM)
				wait()
				if code := s.exit(t, patience); code != 0 {
					t.Errorf("exit code %d, want 0", code)
				}
				_ = up.ln.Close()
				up.closedWell(t, "/talk", clients, 1001)
				r := s.receipt(t)
				if r.CutTotal+r.StuckTotal != 0 || r.Told != conns || r.Outcomes.Completed != conns {
					t.Errorf("cut %d, stuck %d, told %d, outcomes %+v; want %d told and completed", r.CutTotal, r.StuckTotal, r.Told, r.Outcomes, conns)
				}
			})
		}
	}
}

// TestWebSocketsOverHTTP2EndAtOnce, with the code that their route says, and with large frames.
func TestWebSocketsOverHTTP2EndAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range crossings {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			up := socketsOf(t, c.h2Server)
			s := serve(t, nil, setup{policy: up.policy("drain: {close_at: start, close_code: 1012},"), drain: "{timeout: 28s, idle_close: 500ms, close_lead: 7s}", extra: "platform: {stop_timeout: 40s}"})
			clients, wait, _ := c.open(t, up, s.web, "/large", 2)
			s.signal(t, syscall.SIGTERM)
			wait()
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			_ = up.ln.Close()
			up.closedWell(t, "/large", clients, 1012)
		})
	}
}

// TestWebSocketsOverHTTP2ThatDoNotAnswer are told, and cut at the deadline.
func TestWebSocketsOverHTTP2ThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	up := socketsOf(t, true)
	s := serve(t, nil, setup{policy: up.policy(""), drain: "{timeout: 2s, idle_close: 500ms}"})
	clients, wait := up.openH2(t, s.web, "/mute", 3)
	s.signal(t, syscall.SIGTERM)
	wait()
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	_ = up.ln.Close()
	up.running.Wait()
	for i, c := range clients {
		if c.code != 1001 || up.server("/mute", i).code != 1001 {
			t.Errorf("socket %d: the client heard %d, the server %d", i, c.code, up.server("/mute", i).code)
		}
	}
	if r := s.receipt(t); r.CutTotal != 1 || len(r.Cut[0].Requests) != 3 || r.Cut[0].Cause != "deadline" || r.StuckTotal != 0 {
		t.Errorf("cut %d: %+v, stuck %d", r.CutTotal, r.Cut, r.StuckTotal)
	}
}
