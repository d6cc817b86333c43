package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// What an upgrade says, and what it must not say.

// TestG8RenamedListener: a listener that gets another name keeps no socket, and the operator
// hears why the upgrade failed.
func TestG8RenamedListener(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{})
	config := read(t, h.file("sluice.yaml"))
	write(t, h.file("sluice.yaml"), strings.Replace(config, `name: web, address: "127.0.0.1:0"`, `name: www, address: "`+h.web+`"`, 1))
	out, code := h.upgrade(t)
	if code != 1 || !strings.Contains(out, "address already in use") || strings.Contains(out, "told to stop") {
		t.Errorf("exit %d: %s", code, out)
	}
	if a, err := once(h.web, get("/")); err != nil || a.status != 200 {
		t.Errorf("after that: %d %v", a.status, err)
	}
	h.stop(t)
}

// TestG8AdminMoves: the private listener of the successor is elsewhere, and its predecessor
// is gone at once. Who waits for the upgrade finds the one by what the other has said.
func TestG8AdminMoves(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 400ms}"})
	config := read(t, h.file("sluice.yaml"))
	write(t, h.file("sluice.yaml"), strings.Replace(config, h.file("admin.sock"), h.file("moved.sock"), 1))
	if out, code := h.upgrade(t); code != 1 || !strings.Contains(out, "--admin-address") {
		t.Errorf("with the new configuration alone: exit %d: %s", code, out)
	}
	out, code := h.cli(t, "upgrade", "-c", h.file("sluice.yaml"), "--admin-address", "unix:"+h.file("admin.sock"))
	if code != 0 || !strings.Contains(out, "confirmed: generation 2 stands") {
		t.Errorf("exit %d: %s", code, out)
	}
	if _, generation := h.current(t); generation != 2 {
		t.Errorf("generation %d answers at the new address", generation)
	}
	h.stop(t)
}

// TestG8NoSystemdNoWordOfIt: a predecessor that dies is not a supervisor that does not listen.
func TestG8NoSystemdNoWordOfIt(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{})
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "it starts", msg("upgrade: the successor starts"))
	h.signal(t, syscall.SIGKILL)
	h.await(t, "it is alone", msg("alone"))
	eventually(t, "it serves", func() bool { _, generation := h.current(t); return generation == 2 })
	h.stop(t)
	if r := h.find(func(r record) bool { return strings.Contains(r.str("msg"), "systemd") }); r != nil {
		t.Errorf("the log speaks of systemd: %v", r)
	}
}

// TestDeadlineAfterTheEnd: there is none to move, and that is what is said.
func TestDeadlineAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{})
	s.drains(t, 0, "--park")
	eventually(t, "it is parked", func() bool { return s.look(t).Drain.State == "drained" })
	if out := s.drains(t, 1, "--deadline", "10s"); !strings.Contains(out, "the drain is over") || strings.Contains(out, "has begun") {
		t.Errorf("told %q", out)
	}
}
