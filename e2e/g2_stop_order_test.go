package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// G2: readiness flips first, the proxy goes on accepting, then stops accepting without
// resetting one handshake, then waits for everything in flight. Every stop of G3 is
// judged by the same function.

// TestG2CheatsAreNoticed shows that judge can say no: three ways to stop badly.
func TestG2CheatsAreNoticed(t *testing.T) {
	for _, c := range []struct{ mode, want string }{
		{"exit", "the door closed"},
		{"shed", "the door closed"},
		{"stall", "no exchange that began"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			p := launch(t, nil, built.cheat, c.mode)
			web, probes := p.listening(t, "listener", "web"), p.listening(t, "component", "probes")
			o := observe(t, probes, web)
			l, quit := newLedger(), make(chan struct{})
			wait := clients(8, web, l, quit, getsOfTheirOwn)
			l.warm(t, 100)
			signal := p.signal(t, syscall.SIGTERM)
			p.exit(t, patience)
			close(quit)
			wait()
			o.finish()
			faults := judge(timeline{signal: signal, ended: p.exitAt, probes: o.probes, dials: o.dials, spans: l.span, lost: len(l.lost)}, 200*time.Millisecond)
			for _, f := range faults {
				if strings.Contains(f.Error(), c.want) {
					return
				}
			}
			t.Errorf("judged %q, want %q among it", faults, c.want)
		})
	}
}

// TestG2TheLogTellsTheOrder reads the story of a stop from the log and the receipt.
func TestG2TheLogTellsTheOrder(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	signal := s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	last := signal
	for _, step := range []string{"lame duck", "draining", "listener closed", "stopped", "receipt"} {
		rec := s.find(msg(step))
		if rec == nil {
			t.Fatalf("the log has no %q", step)
		}
		if at := rec.at(t); at.Before(last.Add(-time.Millisecond)) {
			t.Errorf("%q is out of order", step)
		} else {
			last = at
		}
	}
	began, ended := s.receipt(t).phase("lame_duck")
	if d := ended.Sub(began); d < 200*time.Millisecond {
		t.Errorf("the lame duck lasted %v, want at least 200ms", d)
	}
}

// TestG2TheLameDuckServes: not ready, and nothing else has changed for who comes.
func TestG2TheLameDuckServes(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{lameDuck: "{min: 3s, max: 3s, notice_after: 2s}"})
	s.signal(t, syscall.SIGTERM)
	s.await(t, "lame duck", msg("lame duck"))
	for path, want := range map[string]int{"/readyz": 503, "/servingz": 200, "/livez": 200, "/startupz": 200} {
		if code, body := s.probe(t, path); code != want {
			t.Errorf("%s says %d %s in the lame duck, want %d", path, code, body, want)
		}
	}
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if a, err := w.ask(get("/")); err != nil || a.status != 200 || a.leave {
		t.Errorf("GET: %d, told to leave %t, %v; want 200, and no goodbye before notice_after", a.status, a.leave, err)
	}
	tunnel := tunnel(t, s, "raw", "")
	l := newLedger()
	closing(l, tunnel)
	if len(l.lost) > 0 {
		t.Errorf("a tunnel begun in the lame duck: %q", l.lost)
	}
	_ = w.Close()
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestG2SecondSignalSkipsTheLameDuck, and what came with it finishes all the same.
func TestG2SecondSignalSkipsTheLameDuck(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{lameDuck: "{min: 10s, max: 10s}"})
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	slow := make(chan error, 1)
	go func() { // ends with the response
		a, err := w.ask(get("/slow?d=2s"))
		if err == nil && (a.status != 200 || len(a.body) != 40) {
			err = errShort
		}
		slow <- err
	}()
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	signal := s.signal(t, syscall.SIGTERM)
	duck := s.await(t, "lame duck", msg("lame duck")).at(t)
	eventually(t, "repeats within 250 ms count once", func() bool { return time.Since(duck) > 300*time.Millisecond })
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if d := s.exitAt.Sub(signal); d > 8*time.Second {
		t.Errorf("exit after %v: the lame duck of 10s was not skipped", d)
	}
	if err := <-slow; err != nil {
		t.Errorf("the response in flight: %v", err)
	}
}

// TestG2ThirdSignalCuts what is left, and says so.
func TestG2ThirdSignalCuts(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{lameDuck: "{min: 5s, max: 5s}", drain: "{timeout: 15s}"})
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if a, err := w.ask(get("/tunnel", "Connection: Upgrade", "Upgrade: echo")); err != nil || a.status != 101 {
		t.Fatalf("upgrade: %d %v", a.status, err)
	}
	first := s.signal(t, syscall.SIGTERM)
	at := s.await(t, "lame duck", msg("lame duck")).at(t)
	eventually(t, "the second counts", func() bool { return time.Since(at) > 300*time.Millisecond })
	s.signal(t, syscall.SIGTERM)
	at = s.await(t, "draining", msg("draining")).at(t)
	eventually(t, "the third counts", func() bool { return time.Since(at) > 300*time.Millisecond })
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if d := s.exitAt.Sub(first); d > 5*time.Second {
		t.Errorf("exit after %v, want soon after the third signal", d)
	}
	if r := s.receipt(t); r.CutTotal != 1 || len(r.Cut) != 1 || r.Cut[0].Listener != "web" {
		t.Errorf("receipt names %+v, want the one tunnel on web", r.Cut)
	}
}

// TestG2InterruptIsTerminate where nobody sits at a terminal.
func TestG2InterruptIsTerminate(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	s.signal(t, syscall.SIGINT)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	r := s.receipt(t)
	if r.Trigger != "SIGINT" {
		t.Errorf("trigger %q, want SIGINT", r.Trigger)
	}
	if began, ended := r.phase("lame_duck"); ended.Sub(began) < 200*time.Millisecond {
		t.Errorf("the lame duck lasted %v, want at least 200ms", ended.Sub(began))
	}
}

// TestG2SignalWhileStarting ends a proxy that never had a policy, with a clear answer to
// those who came.
func TestG2SignalWhileStarting(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"refuse", "hold"} {
		t.Run(mode, func(t *testing.T) {
			s := run(t, setup{extra: "start: {mode: " + mode + "}"})
			s.await(t, "waiting for the policy", func(r record) bool { return strings.Contains(r.str("reason"), "init targets") })
			w, err := connect(s.web, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			answered := make(chan answer, 1)
			go func() { // ends with the answer, or the connection
				a, _ := w.ask(get("/"))
				answered <- a
			}()
			if mode == "refuse" {
				if a := <-answered; a.status != 503 || !a.leave {
					t.Errorf("before the policy: status %d, close %t; want 503 and a close", a.status, a.leave)
				}
			}
			began := s.signal(t, syscall.SIGTERM)
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if d := s.exitAt.Sub(began); d > 5*time.Second {
				t.Errorf("exit after %v: nobody was ever served, there is no lame duck", d)
			}
			if mode == "hold" {
				if a := <-answered; a.status != 503 || !a.leave {
					t.Errorf("queued before the stop: status %d, close %t; want 503 and a close", a.status, a.leave)
				}
			}
		})
	}
}
