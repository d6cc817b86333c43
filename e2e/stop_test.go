package e2e

import (
	"syscall"
	"testing"
	"time"
)

// stop is one stop under load, as it was asked for and as it went.
type stop struct {
	clients int
	load    load
	tunnels bool          // the load is tunnels: it ends by itself
	raw     bool          // aimed at the tcp listener
	tls     bool          // by TLS
	warm    int           // exchanges before the signal
	min     time.Duration // lame_duck.min
	within  time.Duration // exit at the latest
	setup   setup
}

// outcome is what became of it.
type outcome struct {
	*sluice
	ledger   *ledger
	timeline timeline
	receipt  receipt
	code     int
}

// play runs a fresh proxy, puts it under load, stops it and collects what everybody saw.
func (s stop) play(t *testing.T, up *upstream) outcome {
	t.Helper()
	p := serve(t, up, s.setup)
	addr := p.web
	if s.raw {
		addr = p.raw
	}
	side := p.web
	if s.tls {
		addr, side = overTLS+addr, overTLS+side
	}
	o := observe(t, p.probes, p.web)
	l, quit := newLedger(), make(chan struct{})
	wait := clients(s.clients, addr, l, quit, s.load)
	var door func()
	if s.tunnels { // somebody must show that the door still serves
		door = clients(1, side, l, quit, getsOfTheirOwn)
	}
	joined := false
	join := func() {
		if joined {
			return
		}
		joined = true
		close(quit)
		wait()
		if door != nil {
			door()
		}
	}
	t.Cleanup(join) // for a test that fails before
	l.warm(t, s.warm)
	signal := p.signal(t, syscall.SIGTERM)
	l.told.Store(true)
	code := p.exit(t, s.within)
	join()
	o.finish()
	r := p.receipt(t)
	return outcome{p, l, timeline{
		signal: signal, ended: r.last(), probes: o.probes, dials: o.dials, spans: l.span, lost: len(l.lost),
	}, r, code}
}

// flawless asserts that nothing was lost and the order of the stop was kept.
func (o outcome) flawless(t *testing.T, min time.Duration) {
	t.Helper()
	if o.code != 0 {
		t.Errorf("exit code %d, want 0", o.code)
	}
	if n := len(o.ledger.lost); n > 0 {
		t.Errorf("%d lost of %d: %q", n, o.ledger.done, o.ledger.lost)
	}
	if n := len(o.ledger.wrong); n > 0 {
		t.Errorf("%d wrong of %d: %q", n, o.ledger.done, o.ledger.wrong)
	}
	for _, fault := range judge(o.timeline, min) {
		t.Errorf("order of the stop: %v", fault)
	}
	if o.receipt.CutTotal+o.receipt.StuckTotal != 0 || o.receipt.Exchanges.Interrupted != 0 {
		t.Errorf("receipt: %d cut, %d stuck, %d interrupted; want none", o.receipt.CutTotal, o.receipt.StuckTotal, o.receipt.Exchanges.Interrupted)
	}
	for _, ln := range o.receipt.Listeners {
		if !ln.Proven && ln.Residue > 0 {
			t.Errorf("listener %s closed on %d that were queued: %s", ln.Name, ln.Residue, ln.Reason)
		}
	}
}
