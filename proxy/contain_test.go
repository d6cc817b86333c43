package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// bomb is a stage that panics over requests whose path says so.
type bomb struct{}

func (bomb) Name() string            { return "bomb" }
func (bomb) ChallengeHeader() string { return "" }

func (bomb) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	switch string(r.Path) {
	case "/try":
		panic("in Try")
	case "/resolve":
		return nil, authz.Pending
	case "/nobody":
		return nil, authz.Allow
	}
	return nil, authz.Deny
}

func (bomb) Resolve(*authz.Request) (*authz.Identity, authz.Verdict) { panic("in Resolve") }

func (bomb) Authorize(_ *authz.Identity, r *authz.Request) authz.Decision {
	if string(r.Path) == "/authorize" || len(r.Path) == 0 { // a TCP connection has no path
		panic("in Authorize")
	}
	if string(r.Path) == "/shared" {
		panic("BUG: of what all share")
	}
	return authz.Decision{Verdict: authz.Allow}
}

// openWithBombs is open with a stage that may go off.
func (w *walk) openWithBombs() {
	w.open()
	snap := w.core.gate.Load()
	snap.routes[0].chain, snap.routes[0].Authorizer = &chain{Authenticators: []authz.Authenticator{bomb{}}}, bomb{}
	snap.tcp["db"].Authorizer = bomb{}
}

// nothingHeld: whatever ran is over, in every account.
func (w *walk) nothingHeld() {
	w.t.Helper()
	w.until("everything is released", func() bool {
		s := w.core.Stats()
		return s.Open == 0 && s.Active == 0 && len(w.tracker.Snapshot(9)) == 0 && s.Upstreams[0].Active == 0
	})
}

func TestPanicOfAStageIsContained(t *testing.T) {
	var heard []string
	w := newWalk(t, Config{Panicked: func(where string, v any, stack []byte) {
		heard = append(heard, where)
		if !strings.Contains(string(stack), "bomb") && v != "authenticator bomb allowed nobody" {
			t.Errorf("the stack of %v does not show where it happened:\n%s", v, stack)
		}
	}})
	w.openWithBombs()
	w.simple(ok)
	other := w.dial("web")
	for i, path := range []string{"/try", "/resolve", "/nobody", "/authorize"} {
		c := w.dial("web")
		c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("the end", func() bool { return c.eof || c.reset })
		if !strings.HasPrefix(c.got, "HTTP/1.1 500 ") || !strings.Contains(c.got, "X-Sluice-Reason: panic\r\n") || !strings.Contains(c.got, "Connection: close\r\n") || strings.Count(c.got, "HTTP/1.1") != 1 {
			t.Errorf("%s: the client got %q", path, c.got)
		}
		c.Close()
		other.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("somebody else is served", func() bool { return strings.Count(other.got, "200 OK") == i+1 })
	}
	d := w.dial("db")
	w.until("the tcp connection ends", func() bool { return d.eof || d.reset })
	other.Close()
	w.nothingHeld()
	if got, want := strings.Join(heard, " "), "authenticate resolve walk authorize authorize"; got != want {
		t.Errorf("heard of %q, want %q", got, want)
	}
	if p := w.core.Stats().Panics; p["authenticate"] != 1 || p["resolve"] != 1 || p["walk"] != 1 || p["authorize"] != 2 {
		t.Errorf("counted %v", p)
	}
}

// A broken invariant of what all share must not be survived.
func TestPanicOfAnInvariantIsNot(t *testing.T) {
	w := newWalk(t, Config{})
	w.openWithBombs()
	defer func() {
		if v := recover(); v != "BUG: of what all share" {
			t.Errorf("recovered %v", v)
		}
	}()
	c := w.dial("web")
	c.Write([]byte("GET /shared HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.net.Run(time.Second, func() bool { return c.eof })
	t.Error("the loop went on")
}

// Wherever in an exchange or tunnel a panic comes, the client hears of an end, and nothing
// is held afterwards.
func TestPanicAtEveryPoint(t *testing.T) {
	post := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
	for name, c := range map[string]struct{ addr, sent, upstream string }{
		"exchange":  {"web", post, ok},
		"pipelined": {"web", post + post + post, ok},
		"upgrade":   {"web", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nlate"},
		"tcp":       {"db", "hello", "hello"},
	} {
		for point := 1; ; point++ {
			met := 0
			w := newWalk(t, Config{Faults: Faults{Panic: func(engine.ConnID) bool { met++; return met == point }}})
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				if strings.HasSuffix(string(got), "hi") || strings.HasSuffix(string(got), "\r\n\r\n") || string(got) == "hello" {
					s.Write([]byte(c.upstream))
				}
			})
			cl := w.dial(c.addr)
			cl.Write([]byte(c.sent))
			w.net.Run(time.Second, func() bool { return cl.eof || cl.reset })
			if met < point {
				if point < 3 {
					t.Errorf("%s: only %d points", name, met)
				}
				break
			}
			if !cl.eof && !cl.reset {
				cl.Abort()
				w.net.Run(time.Second, func() bool { return false })
				if met == point { // it may have come with the end of the connection
					t.Errorf("%s: the client did not hear of the panic at point %d: %q", name, point, cl.got)
				}
			}
			cl.Close()
			w.nothingHeld()
		}
	}
}
