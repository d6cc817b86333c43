package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// every sends b each d until the client hears of an end.
func (w *walk) every(c *client, d time.Duration, b []byte) {
	w.net.After(d, func() {
		if !c.eof && !c.reset && c.got == "" {
			c.Write(b)
			w.every(c, d, b)
		}
	})
}

// A body that comes at less than the rate is refused; one at the rate goes through, however
// long it takes.
func TestSlowBody(t *testing.T) {
	for _, c := range []struct {
		rate   int // bytes a second
		served bool
	}{{50, false}, {150, true}} {
		w := newWalk(t, Config{MinRate: 100})
		w.open()
		n := 0
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			s.SetEvents(sim.Events{Data: func(b []byte) {
				if n += bytes.Count(b, []byte("x")); n == 30_000 {
					s.Write([]byte(ok))
				}
			}, EOF: func() { s.Close() }})
		})
		cl := w.dial("web")
		cl.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n"))
		w.every(cl, 10*time.Second, bytes.Repeat([]byte("x"), 10*c.rate))
		began := w.net.Now()
		w.until("an answer", func() bool { return strings.Contains(cl.got, "\r\n\r\n") })
		took := w.net.Now().Sub(began)
		switch {
		case c.served && !strings.HasPrefix(cl.got, "HTTP/1.1 200"), c.served && took < 3*time.Minute:
			t.Errorf("%d bytes a second: %q after %v, want 200", c.rate, cl.got, took)
		case !c.served && (!strings.Contains(cl.got, "X-Sluice-Reason: body_rate") || !strings.HasPrefix(cl.got, "HTTP/1.1 408") || took > time.Minute+5*time.Second):
			t.Errorf("%d bytes a second: %q after %v, want 408", c.rate, cl.got, took)
		}
	}
}

// Whoever is held back by the upstream, or waits for it, is not slow.
func TestWhoWaitsForTheUpstreamIsNotSlow(t *testing.T) {
	t.Run("an upstream that does not read", func(t *testing.T) {
		w := newWalk(t, Config{MinRate: 100, WriteTimeout: time.Hour, MoveFrom: -1})
		w.open()
		var up *sim.Sock
		n := 0
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			up = s
			s.SetEvents(sim.Events{Data: func(b []byte) {
				if n += bytes.Count(b, []byte("x")); n == 1<<20 {
					s.Write([]byte(ok))
				}
			}, EOF: func() { s.Close() }})
			s.Pause()
		})
		c := w.dial("web")
		c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"))
		c.Write(bytes.Repeat([]byte("x"), 1<<20))
		w.net.Run(10*time.Minute, func() bool { return c.got != "" })
		if c.got != "" {
			t.Fatalf("the client got %q", c.got)
		}
		up.Resume()
		w.until("200", c.has("200 OK"))
	})
	t.Run("100-continue", func(t *testing.T) {
		w := newWalk(t, Config{MinRate: 100, BodyTimeout: time.Hour})
		w.open()
		var up *sim.Sock
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			up = s
			s.SetEvents(sim.Events{Data: func(b []byte) {
				if bytes.HasSuffix(b, []byte("xx")) {
					s.Write([]byte(ok))
				}
			}, EOF: func() { s.Close() }})
		})
		c := w.dial("web")
		c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"))
		w.net.Run(10*time.Minute, func() bool { return c.got != "" })
		if c.got != "" {
			t.Fatalf("the client got %q", c.got)
		}
		up.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
		w.until("100", c.has("100 Continue"))
		c.Write([]byte("xx"))
		w.until("200", c.has("200 OK"))
	})
	t.Run("100-continue that never comes", func(t *testing.T) {
		w := newWalk(t, Config{MinRate: 100})
		w.open()
		w.upstream(func(*sim.Sock, []byte) {})
		c := w.dial("web")
		c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\n"))
		if !strings.HasPrefix(c.got, "HTTP/1.1 504 ") { // nobody asked the client to send: it is not its fault
			t.Errorf("the client got %q, want 504", c.got)
		}
	})
	t.Run("a slow upstream", func(t *testing.T) {
		w := newWalk(t, Config{MinRate: 100})
		w.open()
		var say func(s *sim.Sock, n int)
		say = func(s *sim.Sock, n int) {
			s.Write([]byte("x"))
			if n > 1 {
				w.net.After(20*time.Second, func() { say(s, n-1) })
			}
		}
		w.upstream(func(s *sim.Sock, _ []byte) {
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"))
			say(s, 20)
		})
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("all of it", c.has(strings.Repeat("x", 20)))
	})
}

// readSlowly has the client read so many bytes each second.
func (w *walk) readSlowly(c *client, rate int) {
	c.Pause()
	c.SetEvents(sim.Events{
		Data:  func(b []byte) { c.got += string(b); c.Pause() },
		EOF:   func() { c.eof = true },
		Reset: func() { c.reset = true },
	})
	if rate == 0 {
		return
	}
	c.ReadMost(rate)
	var step func()
	step = func() {
		if !c.reset && !c.eof {
			c.Resume()
			w.net.After(time.Second, step)
		}
	}
	step()
}

// A client that takes its response at less than the rate is cut within 1.25 times the write
// timeout; one at the rate gets it all, however long that takes and however much the buffers
// between us hold.
func TestSlowReader(t *testing.T) {
	const size = 1 << 20
	for _, move := range []int64{-1, 1} {
		for _, window := range []int{4 << 10, 256 << 10} {
			for _, c := range []struct {
				rate   int // bytes a second
				served bool
			}{{0, false}, {20, false}, {2000, true}} {
				t.Run(fmt.Sprintf("%d bytes a second, window %d, move from %d", c.rate, window, move), func(t *testing.T) {
					w := newWalk(t, Config{MinRate: 100, MoveFrom: move})
					w.net.Window = window
					w.open()
					w.simple("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", size))
					cl := w.dial("web")
					cl.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
					w.until("its head", cl.has("\r\n\r\n"))
					head := strings.Index(cl.got, "\r\n\r\n") + 4
					w.readSlowly(cl, c.rate)
					began := w.net.Now()
					w.until("an end", func() bool { return cl.eof || cl.reset || len(cl.got)-head == size || w.core.Stats().Slow > 0 })
					took := w.net.Now().Sub(began)
					if whole := len(cl.got)-head == size; whole != c.served {
						t.Errorf("%d of %d bytes after %v, want all: %t", len(cl.got)-head, size, took, c.served)
					}
					// What fits the buffers goes at any rate.
					if most := 80*time.Second + 2*time.Duration(60+window/100)*time.Second; !c.served && took > most {
						t.Errorf("cut after %v, want at most %v", took, most)
					}
				})
			}
		}
	}
}

// The time between two requests begins when the response has left: whoever still reads it, at
// the rate or above, is not idle, and is not cut for it.
func TestASlowReaderIsNotIdle(t *testing.T) {
	const size = 60_000
	w := newWalk(t, Config{MinRate: 100, IdleTimeout: 20 * time.Second, MoveFrom: -1})
	w.net.Window = 4 << 10
	w.open()
	w.simple(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
	cl := w.dial("web")
	w.readSlowly(cl, 1000)
	cl.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("an end", func() bool { return cl.eof || cl.reset || strings.Count(cl.got, "x") >= size })
	if n, idle := strings.Count(cl.got, "x"), w.core.Stats().IdleTimeouts; n < size || idle > 0 {
		t.Errorf("%d of %d bytes, %d idle timeouts before", n, size, idle)
	}
	w.until("the idle timeout", func() bool { return cl.eof })
}
