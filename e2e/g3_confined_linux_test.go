package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestG3Confined stops under load in places that let a process do less. Nothing is lost in
// any of them; what cannot be proven there, the receipt says, with the reason.
func TestG3Confined(t *testing.T) {
	for _, c := range []struct {
		place  confinement
		proven bool
		reason string // of what is not proven
	}{
		{nonroot, true, ""},
		{noDiag, true, ""}, // /proc/net/tcp says it, too
		{noRCU, false, "membarrier"},
		{noFilter, false, "attach the SYN filter"},
		{noProof, false, "attach the SYN filter"},
	} {
		t.Run(string(c.place), func(t *testing.T) {
			up := newUpstream(t)
			o := stop{clients: 32, load: keepAlivePosts, warm: 200, within: 30 * time.Second, setup: setup{confined: c.place}}.play(t, up)
			if o.code != 0 || len(o.ledger.lost) > 0 {
				t.Errorf("exit %d, lost %q", o.code, o.ledger.lost)
			}
			// On some kernels a filter takes a capability: the start says so, and the receipt.
			proven, reason := c.proven, c.reason
			if o.logged(func(r record) bool { return strings.Contains(r.str("err"), "attach the SYN filter") }) {
				if c.place != nonroot && c.place != noFilter && c.place != noProof {
					t.Error("root may attach a filter, and the log says otherwise")
				}
				proven, reason = false, "attach the SYN filter"
			} else if c.place == noFilter || c.place == noProof {
				t.Error("the start does not say that a filter is refused")
			}
			for _, ln := range o.receipt.Listeners {
				if ln.Proven != proven || !strings.Contains(ln.Reason, reason) {
					t.Errorf("listener %s: proven %v, %q; want %v, %q", ln.Name, ln.Proven, ln.Reason, proven, reason)
				}
			}
		})
	}
}

// TestG3ReadOnlyRoot: a root that cannot be written to needs nothing but a configuration
// that asks for no file; one that does is refused at start, and says which setting it is.
func TestG3ReadOnlyRoot(t *testing.T) {
	up := newUpstream(t)
	dir := prepare(t, setup{policy: policyFor(up.web, up.raw, "v1")})
	p := confinedRun(t, dir, readOnly, "--receipt", dir+"/receipt.json")
	if code := p.exit(t, patience); code == 0 {
		t.Error("it started with a receipt that it could never write")
	}
	if said := p.tail(20); !strings.Contains(said, "read-only file system") || !strings.Contains(said, "drain.receipt") && !strings.Contains(said, "admin.address") {
		t.Errorf("it does not say what to change: %s", said)
	}
	p = confinedRun(t, dir, readOnly, "--admin-address", "127.0.0.1:0")
	s := &sluice{process: p, dir: dir}
	s.web, s.raw, s.probes = s.listening(t, "listener", "web"), s.listening(t, "listener", "raw"), s.listening(t, "component", "probes")
	s.await(t, "serving", msg("serving"))
	l, quit := newLedger(), make(chan struct{})
	wait := clients(32, s.web, l, quit, keepAlivePosts)
	l.warm(t, 200)
	s.signal(t, syscall.SIGTERM)
	l.told.Store(true)
	code := s.exit(t, patience)
	close(quit)
	wait()
	if code != 0 || len(l.lost) > 0 {
		t.Errorf("exit %d, lost %q", code, l.lost)
	}
}

// logged reports whether a record is in the log.
func (p *process) logged(like func(record) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.records, like)
}
