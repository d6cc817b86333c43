//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// G8: a new binary takes over the listening sockets of the old one with no refused and no
// lost connection, and the old one carries on if the new one fails.

// TestG8UpgradesUnderLoad is a chain of upgrades with every kind of client, and a prober
// that never hears anything but ready. The drivers take turns, unless one was asked for.
func TestG8UpgradesUnderLoad(t *testing.T) {
	up := newUpstream(t)
	h := serveHouse(t, up, setup{})
	c := h.gather(t)
	config := read(t, h.file("sluice.yaml"))
	n := stops(t)
	for i := range n {
		driver := []string{"portable", "epoll"}[i%2]
		write(t, h.file("sluice.yaml"), config+"\nengine: {driver: "+driver+"}\n")
		if i == 1 {
			c.told.Store(true) // tunnels of the first generation end while a later one serves
		}
		tunnels := h.tunnels(t)
		if out, code := h.upgrade(t); code != 0 || !strings.Contains(out, "confirmed") {
			t.Fatalf("upgrade %d: exit %d: %s", i+1, code, out)
		}
		tunnels.unharmed(t) // they end in the generation that drains
		c.more(t, 100)
	}
	_, generation := h.current(t)
	if generation != n+1 {
		t.Errorf("generation %d serves, want %d", generation, n+1)
	}
	c.unharmed(t)
	h.stop(t)
	if h.code != 0 {
		t.Errorf("the first generation exited with %d", h.code)
	}
	rs := h.receipts(t)
	if len(rs) != n+1 {
		t.Fatalf("%d receipts, want %d", len(rs), n+1)
	}
	for _, r := range rs {
		if r.CutTotal+r.StuckTotal+r.Exchanges.Interrupted != 0 {
			t.Errorf("a generation cut %d, left %d, interrupted %d", r.CutTotal, r.StuckTotal, r.Exchanges.Interrupted)
		}
		for _, ln := range r.Listeners {
			if !ln.Proven {
				t.Errorf("listener %s: %s, %d left in its queue", ln.Name, ln.Reason, ln.Residue)
			}
		}
	}
	t.Logf("%d upgrades: %d exchanges, 0 lost, 0 refused; %d probes, all ready", n, c.done, c.watcher.asked)
}

// TestG8Signal: SIGUSR2 is an upgrade, and the program that runs is the one that is at the
// path now, though the link that leads there was moved.
func TestG8Signal(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{})
	link := h.file("current")
	if err := os.Symlink(h.program, link); err != nil {
		t.Fatal(err)
	}
	h.stop(t)
	h.launch(t, exec.Command(link, h.args()...), nil)
	next := h.file("next")
	install(t, built.sluice, next)
	if err := os.Symlink(next, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(h.program); err != nil { // what runs is a deleted file now
		t.Fatal(err)
	}
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "the switch", msg("upgrade: the successor stands alone"))
	pid, generation := h.current(t)
	if generation != 2 {
		t.Errorf("generation %d", generation)
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || exe != next {
		t.Errorf("%s runs, %v; want %s", exe, err, next)
	}
	h.stop(t)
}

// TestG8SuccessorsThatFail: whatever the successor does, the service goes on, nothing is
// lost, and the operator is told what happened.
func TestG8SuccessorsThatFail(t *testing.T) {
	up, bad := newUpstream(t), stillborn(t)
	h := serveHouse(t, up, setup{extra: "upgrade: {ready_timeout: 1s, take_back: 2s}\nplatform: {stop_timeout: 30s}"})
	c := h.gather(t)
	for _, tt := range []struct{ how, want, log string }{
		{"script", "the successor ended before it was ready: exit status 7", "upgrade failed"},
		{"not executable", "the successor could not be started", "upgrade failed"},
		{"unready", "it waits for a policy that never comes", "upgrade failed"},
		{"exit", "the successor ended", ""}, // before the switch or after it
		{"accept", "the successor ended after it took over: exit status 0", "upgrade taken back"},
		{"fails", "the successor took over, and stops: run proxy: it broke", "upgrade taken back"},
		{"silent", "said nothing for 3s, and was killed", "upgrade taken back"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			switch tt.how {
			case "script":
				place(t, strings.NewReader("#!/bin/sh\nexit 7\n"), h.program, 0o755)
			case "not executable":
				place(t, strings.NewReader(""), h.program, 0o644)
			default:
				install(t, bad, h.program)
				write(t, h.program+".how", tt.how)
			}
			before := h.count(msg(tt.log))
			out, code := h.upgrade(t)
			if code != 1 || !strings.Contains(out, tt.want) {
				t.Errorf("exit %d, want 1 and %q: %s", code, tt.want, out)
			}
			if tt.log != "" {
				eventually(t, "the log says "+tt.log, func() bool { return h.count(msg(tt.log)) == before+1 })
			}
			c.more(t, 200)
			if _, generation := h.current(t); generation != 1 {
				t.Errorf("generation %d answers", generation)
			}
		})
	}
	// And it is none the worse for that.
	install(t, built.sluice, h.program)
	if out, code := h.upgrade(t); code != 0 {
		t.Errorf("a good upgrade after the bad ones: exit %d: %s", code, out)
	}
	c.more(t, 200)
	c.unharmed(t)
	h.stop(t)
}

// TestG8Hang: one that neither speaks nor obeys is killed, and a second upgrade is refused
// while it lives.
func TestG8Hang(t *testing.T) {
	t.Parallel()
	bad := stillborn(t)
	h := serveHouse(t, newUpstream(t), setup{
		lameDuck: "{min: 50ms, max: 100ms, quiet: 50ms, notice_after: 20ms}", drain: "{timeout: 1s, idle_close: 100ms, flush: 100ms}",
		extra: "upgrade: {ready_timeout: 300ms, take_back: 300ms}\nplatform: {stop_timeout: 5s}"})
	install(t, bad, h.program)
	write(t, h.program+".how", "hang")
	out, code := h.upgrade(t)
	if code != 1 || !strings.Contains(out, "it said nothing") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := h.upgrade(t); code != 1 || !strings.Contains(out, "under way") {
		t.Errorf("a second upgrade: exit %d: %s", code, out)
	}
	h.await(t, "it is killed", msg("the successor does not go"))
	install(t, built.sluice, h.program)
	eventually(t, "an upgrade succeeds", func() bool {
		_, code := h.upgrade(t)
		return code == 0
	})
	h.stop(t)
}

// TestG8KilledOnTrial: a successor that really served and is killed loses what it held, and
// nothing else: who is queued is served by the predecessor, readiness included.
func TestG8KilledOnTrial(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	h := serveHouse(t, up, setup{extra: "upgrade: {ready_timeout: 10s, take_back: 20s}"})
	done := h.upgrading()
	h.await(t, "it took over", msg("took over"))
	pid, generation := h.current(t)
	if generation != 2 {
		t.Fatalf("generation %d serves", generation)
	}
	if out, code := h.upgrade(t); code != 1 || !strings.Contains(out, "on trial") {
		t.Errorf("an upgrade of who is on trial: exit %d: %s", code, out)
	}
	freeze(t, pid) // it accepts nothing any more
	queued := h.queue(t, 20)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	queued()
	if got := <-done; !strings.Contains(got, "signal: killed") || !strings.Contains(got, "exit status 1") {
		t.Errorf("the operator is told %q", got)
	}
	if code, body := h.probe(t, "/readyz"); code != 200 {
		t.Errorf("readyz %d %s", code, body)
	}
	if _, generation := h.current(t); generation != 1 {
		t.Errorf("generation %d answers", generation)
	}
	h.stop(t)
}

// TestG8StoppedOnTrial: SIGTERM to the successor is a stop of the service, not its failure.
func TestG8StoppedOnTrial(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 20s}"})
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "it took over", msg("took over"))
	h.stop(t) // of the successor; and then nobody is left
	if h.code != 0 {
		t.Errorf("the first generation exited with %d", h.code)
	}
	for _, r := range h.receipts(t) {
		for _, ln := range r.Listeners {
			if !ln.Proven {
				t.Errorf("listener %s: %s", ln.Name, ln.Reason)
			}
		}
	}
}

// TestG8StopDuringAnUpgrade: who is told to stop takes a successor that does not serve
// with it, and stops as ever.
func TestG8StopDuringAnUpgrade(t *testing.T) {
	t.Parallel()
	bad := stillborn(t)
	h := serveHouse(t, newUpstream(t), setup{})
	install(t, bad, h.program)
	write(t, h.program+".how", "unready")
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "it starts", msg("upgrade: the successor starts"))
	h.signal(t, syscall.SIGTERM)
	if code := h.exit(t, patience); code != 0 { // the log ends when both are gone
		t.Errorf("exit %d", code)
	}
	if h.find(msg("listener closed")) == nil {
		t.Error("the listeners were not closed as without an upgrade")
	}
}

// TestG8PID1 is refused, with the remedy: the container would end with this process.
func TestG8PID1(t *testing.T) {
	t.Parallel()
	h := &house{sluice: &sluice{dir: prepare(t, setup{policy: policyFor("127.0.0.1:1", "127.0.0.1:1", "v1")})}}
	cmd := exec.Command(built.sluice, h.args()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := exec.Command("unshare", "--pid", "--fork", "true").Run(); err != nil {
		t.Skip("no PID namespaces here:", err)
	}
	h.launch(t, cmd, nil)
	out, code := h.upgrade(t)
	if code != 1 || !strings.Contains(out, "PID 1") || !strings.Contains(out, "rolling update") {
		t.Errorf("exit %d: %s", code, out)
	}
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "the refusal in the log", msg("upgrade refused"))
	if code, _ := h.probe(t, "/readyz"); code != 200 {
		t.Errorf("readyz %d", code)
	}
	h.signal(t, syscall.SIGTERM)
	h.exit(t, patience)
}
