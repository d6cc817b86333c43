package e2e

import "testing"

// TestWebSocketsOfAnUpgrade: whom a generation leaves behind is told that the service restarts,
// and connects to its successor.
func TestWebSocketsOfAnUpgrade(t *testing.T) {
	up := newSockets(t)
	h := serveHouse(t, newUpstream(t), setup{policy: up.policy(""), drain: "{timeout: 8s, idle_close: 500ms}"})
	clients, wait := up.open(t, h.web, "/talk", 5)
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	wait()
	again, done := up.open(t, h.web, "/again", 1)
	h.stop(t)
	done()
	_ = up.ln.Close()
	up.closedWell(t, "/talk", clients, 1012)
	up.closedWell(t, "/again", again, 1001)
}
