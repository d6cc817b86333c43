package proxy

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Bugs that the simulation found (internal/sim/world), each in its smallest form.

// A client whose upload waits for a slow upstream is read on when that upstream breaks:
// otherwise its next request is never seen.
func TestRefusedUploadIsReadOn(t *testing.T) {
	t.Run("by hand", func(t *testing.T) { refusedUploadIsReadOn(t, -1) })
	t.Run("by the driver", func(t *testing.T) { refusedUploadIsReadOn(t, 1) })
}

func refusedUploadIsReadOn(t *testing.T, moveFrom int64) {
	w := newWalk(t, Config{MoveFrom: moveFrom})
	w.net.Window = 512
	w.open()
	var up *sim.Sock
	w.net.Listen("up:1").Accept(func(s *sim.Sock) { up = s; s.Pause() })
	c := w.dial("web")
	c.Write([]byte("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)))
	paused := func() bool {
		if moveFrom > 0 {
			return up != nil && w.net.Count["moved"] > 0 && up.Peer().Queued() > 64<<10
		}
		for _, l := range w.core.loops {
			for _, r := range l.roles {
				if h, ok := r.(*httpConn); ok && h.paused&pausePressure != 0 {
					return true
				}
			}
		}
		return false
	}
	w.until("the client waits for the upstream", paused)
	up.Abort()
	w.until("the answer", c.has("HTTP/1.1 502 "))
	if moveFrom > 0 {
		// What the driver had taken and not delivered is lost, so nobody knows where the next
		// request begins: the rest is read and dropped, and the connection closes.
		w.until("the close", func() bool { return c.eof })
		if c.reset || !strings.Contains(c.got, "Connection: close") {
			t.Errorf("reset %v, answer %q", c.reset, c.got)
		}
		return
	}
	w.simple(ok)
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the next answer", c.has("\r\n\r\nhi"))
}

// A dial that failed on an endpoint that has just left the cluster goes to the one that
// stayed, though it is the only one.
func TestDialGoesOnToTheEndpointThatStayed(t *testing.T) {
	for _, listener := range []string{"web", "db"} {
		w := newWalk(t, Config{})
		w.open()
		w.net.Listen("up:2").Accept(func(s *sim.Sock) {
			s.SetEvents(sim.Events{Data: func([]byte) { s.Write([]byte(ok)) }})
		})
		c := w.dial(listener)
		if listener == "web" {
			c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		} else {
			c.Write([]byte("raw"))
		}
		first := w.core.upstreams.Clusters()[0].Endpoints()[0]
		w.until("the first dial", func() bool { return first.Requests.Load() == 1 })
		w.core.upstreams.Update([]upstream.Config{{Name: "app", Endpoints: []string{"up:2"}}})
		w.until("an answer", func() bool { return c.got != "" || c.eof || c.reset })
		if !strings.HasPrefix(c.got, "HTTP/1.1 2") {
			t.Errorf("%s: client got %q", listener, c.got)
		}
	}
}

// drain starts a drain with that much time, and steps it.
func (w *walk) drain(budget time.Duration) {
	w.tracker.BeginDrain(w.net.Now(), w.net.Now().Add(budget))
	var step func()
	step = func() {
		if next, done := w.tracker.Step(w.net.Now()); !done {
			w.net.After(next.Sub(w.net.Now()), step)
		}
	}
	step()
}

// A response that is leaving when the deadline comes is cut, whatever its framing; the
// receipt says so; and a part of it does not look like the whole.
func TestLeavingResponseIsCut(t *testing.T) {
	for _, version := range []string{"1.1", "1.0"} {
		for _, length := range []int{60_000, 600} { // the queue is ours, or the kernel's
			w := newWalk(t, Config{})
			w.net.Window = 1024
			w.open()
			w.upstream(func(s *sim.Sock, _ []byte) {
				s.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
				s.Write(bytes.Repeat([]byte("x"), length))
				s.CloseWrite()
			})
			c := w.dial("web")
			c.Pause()
			c.Write([]byte("GET / HTTP/" + version + "\r\nHost: a\r\nConnection: close\r\n\r\n"))
			w.until("it is in flight", func() bool { return w.tracker.Stats().Connections.Active == 1 })
			w.drain(500 * time.Millisecond)
			w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
			r := w.tracker.Receipt()
			if r.CutTotal != 1 || r.Exchanges.Interrupted != 1 || r.Exchanges.Draining != 0 {
				t.Errorf("HTTP/%s, %d bytes: %v (%+v)", version, length, r, r.Exchanges)
			}
			c.Resume()
			w.until("the end", func() bool { return c.eof || c.reset })
			// A driver sends FIN only behind all that was queued.
			if n := strings.Count(c.got, "x"); n < length && version == "1.0" && !c.reset {
				t.Errorf("HTTP/%s, %d bytes: client got %d, eof %v, reset %v", version, length, n, c.eof, c.reset)
			}
		}
	}
}

// The same on a connection that was to be kept: its response was whole in our queue before the
// drain began, so nothing said goodbye, and it is not idle either. If it arrives in the time of
// the cut it is finished; the receipt names it otherwise.
func TestLeavingResponseOfAKeptConnection(t *testing.T) {
	for _, reads := range []bool{false, true} {
		w := newWalk(t, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
		w.net.Window = 1024
		w.open()
		w.upstream(func(s *sim.Sock, _ []byte) {
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + strings.Repeat("x", 6000)))
		})
		c := w.dial("web")
		c.Pause()
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\n\r\n"))
		w.until("the response is queued", func() bool {
			return w.tracker.Stats().Connections.Active == 1 && len(w.upReqs) == 1 && w.core.Stats().Active == 0
		})
		w.drain(500 * time.Millisecond)
		if reads {
			w.until("the cut", func() bool { return len(w.tracker.Receipt().Phases) > 1 })
			c.Resume()
		}
		w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
		r := w.tracker.Receipt()
		switch {
		case reads && (!r.Clean() || r.Exchanges.Draining != 1 || strings.Count(c.got, "x") != 6000):
			t.Errorf("it arrived, and the receipt says %v (%+v)", r, r.Exchanges)
		case !reads && (r.CutTotal != 1 || len(r.Cut[0].Requests) != 1 || r.Cut[0].Requests[0] != "mine" || r.Exchanges.Interrupted != 1 || r.Unsent == 0):
			t.Errorf("it did not arrive, and the receipt says %v (%+v, cut %+v, %d unsent)", r, r.Exchanges, r.Cut, r.Unsent)
		}
	}
}

// An exchange that got the 503 of the deadline is interrupted, not finished.
func TestExchangeOfTheDeadlineIsInterrupted(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.upstream(func(*sim.Sock, []byte) {})
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("it is in flight", func() bool { return len(w.upReqs) == 1 && w.upReqs[0] != "" })
	w.drain(time.Second)
	w.until("the client hears", func() bool { return c.eof })
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	if x := w.tracker.Receipt().Exchanges; x.Interrupted != 1 || x.Draining != 0 {
		t.Errorf("exchanges: %+v, client got %q", x, c.got)
	}
}

// The 503 of the deadline stands behind a response that the client does not read: the
// connection ends all the same, and is named as cut and not as stuck.
func TestDeadlineDoesNotWaitForAStalledReader(t *testing.T) {
	w := newWalk(t, Config{})
	w.net.Window = 512
	w.open()
	n := 0
	w.upstream(func(s *sim.Sock, _ []byte) {
		if n++; n == 1 {
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20_000)))
		}
	})
	c := w.dial("web")
	c.Pause()
	c.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2)))
	w.until("the second is in flight", func() bool { return n == 2 })
	w.drain(time.Second)
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	if r := w.tracker.Receipt(); r.CutTotal != 1 || r.StuckTotal != 0 {
		t.Errorf("receipt: %v", r)
	}
}

// A response that its upstream broke off is a failed exchange, not a finished one.
func TestBrokenResponseIsFailed(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	var up *sim.Sock
	w.upstream(func(s *sim.Sock, _ []byte) {
		up = s
		s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
	})
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("half a response", c.has("half"))
	w.drain(15 * time.Second)
	up.CloseWrite()
	w.until("the end", func() bool { return c.eof })
	c.Close()
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	r := w.tracker.Receipt()
	if x := r.Exchanges; x.Failed != 1 || x.Draining != 0 || r.Outcomes.Errored != 1 {
		t.Errorf("exchanges %+v, outcomes %+v", x, r.Outcomes)
	}
}

// What stands behind a response is seen before its connection serves anybody else, although
// the driver carried the body and nobody looked at it: it would be taken for the next answer.
func TestWhatFollowsAMovedResponseIsNoAnswer(t *testing.T) {
	const size = 200_000
	w := newWalk(t, Config{MoveFrom: 1})
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) {
		if !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
			return
		}
		if bytes.HasPrefix(got, []byte("GET /big ")) {
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", size) +
				"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnobody's"))
			return
		}
		s.Write([]byte(ok))
	})
	c := w.dial("web")
	c.Write([]byte("GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("both answers", func() bool { return strings.Count(c.got, "HTTP/1.1 200 ") == 2 && len(c.got) > size })
	w.pass(time.Second)
	if w.net.Count["moved"] == 0 {
		t.Error("nothing was moved")
	}
	if strings.Contains(c.got, "nobody's") || !strings.HasSuffix(c.got, "\r\n\r\nhi") || strings.Count(c.got, "x") < size {
		t.Errorf("the second answer is %q", c.got[max(0, len(c.got)-120):])
	}
	if len(w.upReqs) != 2 {
		t.Errorf("%d upstream connections, want 2", len(w.upReqs))
	}
}

// A request whose second way finds no room is answered, and its body, which waited for the first
// way, is read on: otherwise the next request on the connection is never seen.
func TestARequestWithoutASecondWayIsReadOn(t *testing.T) {
	w := newWalk(t, Config{})
	limited := func(n int) upstream.Config {
		return upstream.Config{Endpoints: []string{"up:1", "up:2"}, MaxConnections: n, MaxPending: -1} // nobody listens at up:2
	}
	cl := w.openWith(limited(2))
	w.upstream(func(*sim.Sock, []byte) {}) // never answers
	busy := w.dial("web")
	for len(w.upReqs) == 0 {
		busy.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.pass(time.Second)
	}
	c := w.dial("web")
	c.Write([]byte("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the dial", func() bool { n, _, _ := cl.Load(); return n == 2 })
	w.openWith(limited(1))
	w.until("the answer to the next request", func() bool { return strings.Count(c.got, "X-Sluice-Reason: pending_full") == 2 || c.eof })
	if c.eof || strings.Count(c.got, "HTTP/1.1 503") != 2 {
		t.Errorf("eof %v, got %q", c.eof, c.got)
	}
}
