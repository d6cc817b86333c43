package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// TestG8AListenerMoves: the new configuration has a listener elsewhere. The successor binds
// that; the old one goes on accepting at the old address until it drains, and then closes it
// as in a stop, for nobody else holds it.
func TestG8AListenerMoves(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 1s}"})
	config := read(t, h.file("sluice.yaml"))
	moved := strings.Replace(config, `{name: web, address: "127.0.0.1:0"`, `{name: web, address: "[::1]:0"`, 1)
	if moved == config {
		t.Fatal("the configuration looks different")
	}
	write(t, h.file("sluice.yaml"), moved)
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "it took over", msg("took over"))
	r := h.await(t, "a new address", func(r record) bool {
		return r.str("msg") == "listening" && r.str("listener") == "web" && strings.HasPrefix(r.str("address"), "[::1]")
	})
	for _, addr := range []string{h.web, r.str("address")} {
		if a, err := once(addr, get("/", "Connection: close")); err != nil || a.status != 200 {
			t.Errorf("%s on trial: %d %v", addr, a.status, err)
		}
	}
	h.await(t, "the old one closes what nobody took", func(r record) bool {
		return r.str("msg") == "listener closed" && r.str("listener") == "web" && r["proven"] == true
	})
	if _, err := connect(h.web, patience); err != errRefused {
		t.Errorf("at the old address: %v, want a refusal", err)
	}
	if a, err := once(r.str("address"), get("/", "Connection: close")); err != nil || a.status != 200 {
		t.Errorf("at the new one: %d %v", a.status, err)
	}
	h.stop(t)
}

// TestG8PredecessorDies: whatever becomes of the predecessor, at whatever step, the one that
// it started goes on by itself, and its last stop sheds as that of a first generation.
func TestG8PredecessorDies(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"upgrade: the successor starts", "took over"} {
		h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 20s, take_back: 20s}"})
		h.signal(t, syscall.SIGUSR2)
		h.await(t, step, msg(step))
		h.signal(t, syscall.SIGKILL)
		h.await(t, "the successor is alone", msg("alone"))
		served(t, queue(t, h.web, 5))
		if _, generation := h.current(t); generation != 2 {
			t.Errorf("%s: generation %d", step, generation)
		}
		if code, body := h.probe(t, "/readyz"); code != 200 {
			t.Errorf("%s: readyz %d %s", step, code, body)
		}
		h.stop(t)
		closed := h.find(func(r record) bool { return r.str("msg") == "listener closed" && r.str("listener") == "web" })
		if closed == nil || closed["proven"] != true {
			t.Errorf("%s: the last stop did not close what it held alone: %v", step, closed)
		}
	}
}
