package e2e

import (
	"io"
	"syscall"
	"testing"
	"time"
)

// G4: everything is bounded. Each phase has a deadline; what was cut is listed in the
// receipt, and the exit code says so.

// slowness is how long the slow response of these tests takes, by the size of the suite.
func slowness() (response, budget, tooShort time.Duration) {
	switch {
	case heavy():
		return 20 * time.Second, 30 * time.Second, 10 * time.Second
	case testing.Short():
		return 2 * time.Second, 6 * time.Second, time.Second
	}
	return 6 * time.Second, 12 * time.Second, 2 * time.Second
}

// TestG4SlowResponseInTheBudgetFinishes, and the process ends right after it.
func TestG4SlowResponseInTheBudgetFinishes(t *testing.T) {
	t.Parallel()
	d, budget, _ := slowness()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: " + budget.String() + ", idle_close: 500ms}", extra: "platform: {stop_timeout: 45s}"})
	slow := begin(t, s.web, get("/slow?d="+d.String()))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	s.signal(t, syscall.SIGTERM)
	code := s.exit(t, budget+patience)
	if r := <-slow; r.err != nil || r.answer.status != 200 || len(r.answer.body) != int(d/(50*time.Millisecond)) {
		t.Errorf("the response: status %d, %d bytes, %v; want all %d", r.answer.status, len(r.answer.body), r.err, d/(50*time.Millisecond))
	}
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	r := s.receipt(t)
	stopped := s.await(t, "stopped", msg("stopped")).at(t)
	if late := stopped.Sub(r.last()); late > 100*time.Millisecond {
		t.Errorf("stopped %v after the last handle, want at most 100ms", late)
	}
	if r.Phases[len(r.Phases)-1].EndedBy != "last_handle" {
		t.Errorf("the drain was ended by %q, want last_handle", r.Phases[len(r.Phases)-1].EndedBy)
	}
	t.Logf("last handle to stopped: %v, to exit: %v", stopped.Sub(r.last()), s.exitAt.Sub(r.last()))
}

// TestG4SlowResponsePastTheBudgetIsCut at the deadline, and named.
func TestG4SlowResponsePastTheBudgetIsCut(t *testing.T) {
	t.Parallel()
	d, _, timeout := slowness()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: " + timeout.String() + ", idle_close: 500ms}"})
	slow := begin(t, s.web, get("/slow?d="+(d+2*timeout).String()))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	s.signal(t, syscall.SIGTERM)
	s.cutAt(t, timeout, "web", "open-v1")
	if r := <-slow; r.err == nil {
		t.Errorf("the response that was cut looked whole: status %d, %d bytes", r.answer.status, len(r.answer.body))
	}
}

// TestG4EndlessTunnelIsCut: one by Upgrade, one by TCP.
func TestG4EndlessTunnelIsCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, upgrade, listener, route string }{
		{"upgrade", get("/tunnel", "Connection: Upgrade", "Upgrade: echo"), "web", "open-v1"},
		{"tcp", "", "raw", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := newUpstream(t)
			s := serve(t, up, setup{drain: "{timeout: 1s, idle_close: 500ms}"})
			w := tunnel(t, s, c.listener, c.upgrade)
			s.signal(t, syscall.SIGTERM)
			s.cutAt(t, time.Second, c.listener, c.route)
			if _, err := io.ReadAll(w.in); isTimeout(err) {
				t.Error("the client was never told that its tunnel is over")
			}
		})
	}
}

// TestG4HalfARequestIsBounded: a head or a body that never ends holds the drain until
// its own limit or the deadline, whichever is first, and no longer.
func TestG4HalfARequestIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, half string }{
		{"half a head", "GET / HTTP/1.1\r\nHost: app.exam"},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 100\r\n\r\nhalf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := newUpstream(t)
			s := serve(t, up, setup{drain: "{timeout: 1s, idle_close: 500ms}"})
			w := dial(t, s.web)
			if _, err := io.WriteString(w, c.half); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the connection is in the account", func() bool { return s.sum(t, "sluice_connections_active") >= 1 })
			s.signal(t, syscall.SIGTERM)
			code := s.exit(t, patience)
			r := s.receipt(t)
			began, ended := r.phase("drain")
			if d := ended.Sub(began); d > 5*time.Second { // the limits of a head and a body are 10 s and more
				t.Errorf("the drain lasted %v, want about 1s", d)
			}
			if want := 3 * min(r.CutTotal, 1); code != want {
				t.Errorf("exit code %d with %d cut, want %d", code, r.CutTotal, want)
			}
		})
	}
}

// cutAt asserts that exactly one holder was cut at the deadline, and how that was told.
func (s *sluice) cutAt(t *testing.T, timeout time.Duration, listener, route string) {
	t.Helper()
	if code := s.exit(t, timeout+patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	r := s.receipt(t)
	// The time runs from when the listeners begin to close; the phase begins once they have.
	began := s.await(t, "draining", msg("draining")).at(t)
	_, ended := r.phase("drain")
	// What is left is cut up to 250 ms, or a tenth of the budget, before the deadline.
	if d := ended.Sub(began); d < timeout*9/10-grace || d > timeout+grace {
		t.Errorf("cut %v after draining began, want %v", d, timeout)
	}
	if r.CutTotal != 1 || len(r.Cut) != 1 || r.Cut[0].Listener != listener || route != "" && r.Cut[0].Route != route {
		t.Errorf("the receipt names %+v, want one on %s, route %q", r.Cut, listener, route)
	}
}

// tunnel opens one through a listener and shows that it echoes.
func tunnel(t *testing.T, s *sluice, listener, upgrade string) *wire {
	t.Helper()
	addr := s.web
	if listener == "raw" {
		addr = s.raw
	}
	w, err := connect(addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if upgrade != "" {
		if a, err := w.ask(upgrade); err != nil || a.status != 101 {
			t.Fatalf("upgrade: %d %v", a.status, err)
		}
	}
	if _, err := io.WriteString(w, "there\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.in.ReadString('\n'); err != nil || got != "there\n" {
		t.Fatalf("echo: %q %v", got, err)
	}
	return w
}

// reply is what begin delivers.
type reply struct {
	answer answer
	err    error
}

// begin sends a request on a connection of its own and delivers what became of it.
func begin(t *testing.T, addr, request string) <-chan reply {
	t.Helper()
	w, err := connect(addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.SetDeadline(time.Now().Add(3 * patience))
	done, got := make(chan struct{}), make(chan reply, 1) // of capacity 1: nobody has to read it
	go func() {                                           // ends with the response, or when the test closes w
		defer close(done)
		a, err := w.ask(request)
		got <- reply{a, err}
	}()
	t.Cleanup(func() {
		_ = w.Close()
		<-done
	})
	return got
}
