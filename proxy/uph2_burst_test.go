package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// A burst that meets an upstream with room for few at a time is served, on more connections.
func TestUpH2BurstAtASmallUpstream(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	all := w.originH2("up:1", h2.Config{MaxStreams: 10}, func(o *h2origin, q *h2request) {
		w.net.After(time.Second, func() { o.answer(q, "hi"); o.flush() })
	})
	p := w.dialH2("web")
	var calls []*h2call
	for range 90 {
		calls = append(calls, p.call("POST", "/", true))
	}
	got := map[string]int{}
	for _, c := range calls {
		w.until("a response", func() bool { return c.done || c.reset != nil })
		got[c.status]++
	}
	if got["200"] != len(calls) {
		t.Errorf("%v on %d connections", got, len(*all))
	}
	p.Close()
	w.retired()
}

// Upstreams that take a connection and nobody on it are not asked for ever.
func TestUpH2TakesNobody(t *testing.T) {
	nothing := "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00" // SETTINGS: no stream at a time
	for name, accept := range map[string]func(s *sim.Sock){
		"no streams": func(s *sim.Sock) { s.Write([]byte(nothing)) },
		"closes":     func(s *sim.Sock) { s.Close() },
		"goes away": func(s *sim.Sock) {
			s.Write([]byte(nothing + "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		},
		"refuses": func(s *sim.Sock) {
			s.Write([]byte(nothing + "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.openH2()
			conns := 0
			w.net.Listen("up:1").Accept(func(s *sim.Sock) {
				conns++
				greeted := false
				s.SetEvents(sim.Events{EOF: func() { s.Close() }, Data: func(b []byte) {
					if !greeted && strings.HasPrefix(string(b), h2.Preface) {
						greeted = true
						accept(s)
					}
				}})
			})
			p := w.dialH2("web")
			began := w.net.Now()
			c := p.call("GET", "/", true)
			w.until("an answer", func() bool { return c.done || c.reset != nil || conns > 50 })
			if (c.status != "502" && c.status != "504") || conns > 5 {
				t.Errorf("status %q after %v and %d connections", c.status, w.net.Now().Sub(began), conns)
			}
			p.Close()
			w.noneLeft()
		})
	}
}

// What an upstream refuses at once goes to one other connection, not to one for each.
func TestUpH2RefusedShare(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	var first *h2origin
	all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		if first == nil {
			first = o
		}
		if o == first {
			q.s.Reset(h2.RefusedStream)
			return
		}
		o.answer(q, "hi")
	})
	p := w.dialH2("web")
	var calls []*h2call
	for range 50 {
		calls = append(calls, p.call("POST", "/", true))
	}
	for _, c := range calls {
		w.until("a response", func() bool { return c.done || c.reset != nil })
		if c.status != "200" {
			t.Errorf("status %s", c.status)
		}
	}
	if n := len(*all); n > 2 {
		t.Errorf("%d connections", n)
	}
	p.Close()
	w.retired()
}
