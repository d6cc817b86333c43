package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// A client may end its half behind its request, and read slowly: it gets all of the response,
// also if that takes longer than a close may linger.
func TestAHalfClosedSlowReaderGetsItAll(t *testing.T) {
	const size = 150_000
	for _, move := range []int64{-1, 1} {
		w := newWalk(t, Config{MoveFrom: move})
		w.net.Window = 4 << 10
		w.open()
		w.simple(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		c := w.dial("web")
		w.readSlowly(c, 3000)
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		c.CloseWrite()
		w.until("an end", func() bool { return c.eof || c.reset })
		if n := strings.Count(c.got, "x"); n != size || c.reset {
			t.Errorf("move from %d: %d of %d bytes, reset %v", move, n, size, c.reset)
		}
	}
}

// cutIn begins a drain whose deadline is so far away, and waits for its end.
func (w *walk) cutIn(d time.Duration) (took time.Duration, r drain.Receipt) {
	w.t.Helper()
	deadline := w.net.Now().Add(d)
	w.tracker.BeginDrain(w.net.Now(), deadline)
	var step func()
	step = func() {
		if next, done := w.tracker.Step(w.net.Now()); !done {
			w.net.After(max(next.Sub(w.net.Now()), time.Millisecond), step)
		}
	}
	step()
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	return w.net.Now().Sub(deadline), w.tracker.Receipt()
}

// At the deadline nobody has time for politeness any more, whatever its close is waiting for.
func TestTheDeadlineEndsClosesUnderWay(t *testing.T) {
	check := func(t *testing.T, took time.Duration, r drain.Receipt) {
		t.Helper()
		if r.StuckTotal > 0 || took > 100*time.Millisecond {
			t.Errorf("drained %v past the deadline: %v", took, r)
		}
	}
	t.Run("a TCP connection that found no place", func(t *testing.T) {
		w := newWalk(t, Config{Linger: 10 * time.Second})
		cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: 1, PendingTimeout: time.Second})
		w.net.Listen("up:1").Accept(func(*sim.Sock) {})
		first := w.dial("db")
		w.until("the place is taken", func() bool { n, _, _ := cl.Load(); return n == 1 })
		late := w.dial("db")
		w.until("the late one is closed", func() bool { return late.eof }) // and keeps its half open
		first.Abort()
		took, r := w.cutIn(time.Second)
		check(t, took, r)
	})
	t.Run("a tunnel that both sides have left", func(t *testing.T) {
		w := newWalk(t, Config{Linger: 10 * time.Second})
		w.open()
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			s.SetEvents(sim.Events{Data: func(b []byte) { s.Write(b) }, EOF: func() { s.CloseWrite(); s.Close() }})
		})
		c := w.dial("db")
		c.Write([]byte("a"))
		w.until("the echo", c.has("a"))
		c.Pause()
		c.Write([]byte("the end"))
		c.CloseWrite()
		w.pass(100 * time.Millisecond)
		took, r := w.cutIn(100 * time.Millisecond)
		check(t, took, r)
		if len(r.Cut) != 1 || r.Cut[0].BytesUnsent == 0 {
			t.Errorf("its end never arrived, and the receipt says %+v", r.Cut)
		}
	})
}

// A response that an upstream cuts short takes none with it that stands before it, however slowly
// the client reads; and it looks as short as it is.
func TestACutResponseLeavesTimeToThoseBefore(t *testing.T) {
	const size = 40_000
	w := newWalk(t, Config{MoveFrom: -1})
	w.net.Window = 4 << 10
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) {
		switch {
		case !strings.HasSuffix(string(got), "\r\n\r\n"):
		case strings.Contains(string(got), "GET /whole"):
			s.Write(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		default:
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nyyy"))
			s.CloseWrite()
			s.Close()
		}
	})
	c := w.dial("web")
	w.readSlowly(c, 3000)
	c.Write([]byte("GET /whole HTTP/1.1\r\nHost: a\r\n\r\nGET /cut HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("an end", func() bool { return c.eof || c.reset })
	if n, short := strings.Count(c.got, "x"), strings.Count(c.got, "y"); n != size || short != 3 || c.reset {
		t.Errorf("%d of %d bytes, %d of the second response, reset %v", n, size, short, c.reset)
	}
}
