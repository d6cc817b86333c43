package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestG8HangsOnTrial: a successor that served and stops to do anything, without an exit, is
// noticed by its silence. It is killed, because it could wake up and serve beside the one
// that has taken back; who was queued, and nobody accepted, is served.
func TestG8HangsOnTrial(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 8s}"})
	done := h.upgrading()
	h.await(t, "it took over", msg("took over"))
	pid, generation := h.current(t)
	if generation != 2 {
		t.Fatalf("generation %d serves", generation)
	}
	freeze(t, pid)
	queued := h.queue(t, 20)
	queued()
	if got := <-done; !strings.Contains(got, "said nothing for 3s, and was killed") || !strings.Contains(got, "exit status 1") {
		t.Errorf("the operator is told %q", got)
	}
	if h.find(msg("upgrade taken back")) == nil {
		t.Error("the log does not say that the upgrade was taken back")
	}
	if code, body := h.probe(t, "/readyz"); code != 200 {
		t.Errorf("readyz %d %s", code, body)
	}
	if _, generation := h.current(t); generation != 1 {
		t.Errorf("generation %d answers", generation)
	}
	eventually(t, "the one that hung is gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	eventually(t, "an upgrade succeeds", func() bool { // its end was noticed
		_, code := h.upgrade(t)
		return code == 0
	})
	h.stop(t)
}

// TestG8HangsAtTheEndOfTheTrial: time alone confirms nobody; a trial that is over waits for
// one more report.
func TestG8HangsAtTheEndOfTheTrial(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 1500ms}"})
	done := h.upgrading()
	h.await(t, "it took over", msg("took over"))
	pid, _ := h.current(t)
	freeze(t, pid)
	if h.find(msg("upgrade: the successor stands alone")) != nil {
		t.Skip("the machine was busy: the trial was over before the successor was stopped")
	}
	h.queue(t, 5)()
	if got := <-done; !strings.Contains(got, "said nothing for 3s") {
		t.Errorf("the operator is told %q", got)
	}
	h.stop(t)
}

// TestG8StopWhileASuccessorStarts: it serves nobody yet, so the lame duck of the one that
// does goes on accepting, and so does the time after an undo.
func TestG8StopWhileASuccessorStarts(t *testing.T) {
	t.Parallel()
	bad := stillborn(t)
	h := serveHouse(t, newUpstream(t), setup{lameDuck: "{min: 6s, max: 6s, notice_after: 5s}",
		extra: "upgrade: {ready_timeout: 30s, take_back: 1s}\nplatform: {stop_timeout: 60s}"})
	install(t, bad, h.program)
	write(t, h.program+".how", "unready")
	served := func(when string, record string) {
		t.Helper()
		a, err := once(h.web, get("/"))
		if late := h.find(msg(record)); err != nil || a.status != 200 || late != nil {
			t.Errorf("%s: %d %v; %v came first", when, a.status, err, late)
		}
	}
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "it starts", msg("upgrade: the successor starts"))
	h.drains(t, 0)
	h.await(t, "the lame duck", msg("lame duck"))
	served("in the lame duck of a drain", "draining")
	h.drains(t, 0, "--undo")
	eventually(t, "ready again", func() bool { code, _ := h.probe(t, "/readyz"); return code == 200 })
	served("after the undo", "draining")
	eventually(t, "the next one starts", func() bool {
		h.signal(t, syscall.SIGUSR2)
		return h.count(msg("upgrade: the successor starts")) == 2
	})
	h.signal(t, syscall.SIGTERM)
	eventually(t, "the lame duck of the stop", func() bool { return h.count(msg("lame duck")) == 2 })
	served("in the lame duck of a stop", "draining")
	if code := h.exit(t, patience); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// upgrading runs `sluice upgrade` beside the test; what it says, and how it ends, comes by
// the channel.
func (h *house) upgrading() <-chan string {
	done := make(chan string, 1)
	go func() { // ends with the upgrade
		out, err := exec.Command(built.sluice, "upgrade", "-c", h.file("sluice.yaml")).CombinedOutput()
		done <- fmt.Sprint(string(out), err)
	}()
	return done
}

// queue makes connections that nobody accepts yet; what it returns has each answered.
func (h *house) queue(t *testing.T, n int) (answered func()) {
	t.Helper()
	var queued []*wire
	for range n {
		w, err := connect(h.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		queued = append(queued, w)
	}
	return func() {
		t.Helper()
		for _, w := range queued {
			if a, err := w.ask(get("/queued")); err != nil || a.status != 200 {
				t.Errorf("who was queued: %d %v", a.status, err)
			}
		}
	}
}
