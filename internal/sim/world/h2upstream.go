package world

import (
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2UpConn is one HTTP/2 connection of a scripted upstream. How it answers is in h2answer.go.
type h2UpConn struct {
	h2end
	u        *upstream
	tap      *h2Tap
	calls    []*h2Served // whose streams are open
	answered []*request  // in full, lately
	slow     bool        // it gives its windows back late
	leaving  bool        // it said GOAWAY
	highest  uint32      // stream that came
}

// h2Served is one stream that an upstream serves.
type h2Served struct {
	r     *request
	s     *h2.Stream // nil: it ended
	match matcher
	whole bool // all of the request came
	early bool // it was answered before that
	begun bool // the response was
}

// becomeH2 serves HTTP/2 on a connection that begins with its preface.
func (c *upConn) becomeH2() {
	w := c.u.w
	n := &h2UpConn{h2end: h2end{w: w, sock: c.sock}, u: c.u, slow: w.net.Chance(0.15)}
	cfg := h2.Config{
		MaxStreams:   []uint32{1, 2, 100, 100}[w.net.Rand.IntN(4)],
		StreamWindow: []int{1 << 10, 16 << 10, 256 << 10}[w.net.Rand.IntN(3)],
		ConnWindow:   1 << 16,
	}
	n.core = h2.New(cfg, n)
	n.tap = w.h2Taps[c.sock.Peer()]
	n.tap.conn = n
	c.u.h2conns = append(c.u.h2conns, n)
	c.sock.SetEvents(sim.Events{Data: n.receive, EOF: n.eof, Reset: func() { n.ended = true }})
	n.receive(c.got)
	c.got = nil
}

// eof: the proxy closes, so nothing runs.
func (c *h2UpConn) eof() {
	c.ended = true
	c.sock.Close()
}

// breakOff ends the connection, whatever runs on it.
func (c *h2UpConn) breakOff() {
	if c.ended {
		return
	}
	c.w.trace("upstream %v breaks off", c.sock.Addr)
	c.tap.broken()
	c.ended = true
	c.sock.Abort()
}

// leave says that no more streams are taken, finishes what there are, and closes.
func (c *h2UpConn) leave() {
	if c.ended || c.leaving {
		return
	}
	c.w.net.Count["upstream GOAWAY"]++
	c.leaving = true
	c.core.Leave()
	c.tap.leaves(c.highest)
	c.w.trace("upstream %v leaves: last stream %d", c.sock.Addr, c.highest)
	c.flush()
	c.maybeClose()
}

// maybeClose ends a connection that said GOAWAY and has nothing left to do.
func (c *h2UpConn) maybeClose() {
	if c.leaving && !c.ended && c.core.Streams() == 0 && !c.core.Wants() {
		c.ended = true
		c.sock.CloseWrite()
		c.w.net.After(5*time.Second, c.sock.Close)
	}
}

// Head implements h2.Events.
func (c *h2UpConn) Head(s *h2.Stream, fields []h2.Field, end bool) {
	w := c.w
	c.highest = s.ID()
	if len(w.versions) == 0 {
		w.violate("invariant 4: an upstream got a request before a policy was in force")
	}
	path := fieldOf(fields, ":path")
	for i, ch := range path {
		if ch == '?' {
			path = path[:i]
			break
		}
	}
	n, ok := numberAfter(path, '/')
	if !ok || n >= len(w.requests) {
		w.violate("an upstream got %q", path)
		s.Reset(h2.InternalError)
		return
	}
	r := w.requests[n]
	w.judgeArrival(r, func(name string) (v []byte, n int) {
		for i := range fields {
			if string(fields[i].Name) == name {
				v, n = fields[i].Value, n+1
			}
		}
		return v, n
	})
	if got := string(fieldOf(fields, ":method")); got != r.method {
		w.violate("r%d reached the upstream as %s, want %s", r.num, got, r.method)
	}
	v := &h2Served{r: r, s: s, match: matcher{want: body(r.num, r.bodyLen)}}
	s.Owner = v
	c.calls = append(c.calls, v)
	switch {
	case w.net.Chance(0.04):
		w.net.Count["refused stream"]++
		w.trace("upstream %v refuses r%d", c.sock.Addr, r.num)
		c.fails(v)
		c.reset(v, h2.RefusedStream)
		return
	case w.net.Chance(0.01):
		w.net.After(0, c.leave)
	case !end && r.bodyLen > 0 && w.net.Chance(0.08):
		w.net.Count["early response"]++
		v.early, r.earlyAt = true, w.net.Now()
		w.net.After(0, func() { c.respond(v) })
	}
	if end {
		c.wholeRequest(v)
	}
}

// Data implements h2.Events.
func (c *h2UpConn) Data(s *h2.Stream, b []byte, end bool) {
	v, n := s.Owner.(*h2Served), len(b)
	v.match.add(b)
	if c.slow && n > 0 {
		c.w.net.Count["late window"]++
		c.w.net.After(c.w.net.Between(0, 300*time.Millisecond), func() {
			if v.s != nil && !c.ended {
				c.core.Consumed(v.s, n)
				c.flush()
			}
		})
	} else {
		c.core.Consumed(s, n)
	}
	if end {
		c.wholeRequest(v)
	}
}

// wholeRequest: it came in full, and so was executed.
func (c *h2UpConn) wholeRequest(v *h2Served) {
	w, r := c.w, v.r
	v.whole = true
	if r.executed++; r.executed > 1 && r.method == "POST" {
		w.violate("r%d (POST) was executed %d times", r.num, r.executed)
	}
	if !v.match.whole() {
		w.violate("r%d reached the upstream with %d body bytes, want %d", r.num, v.match.n, r.bodyLen)
	}
	if v.early {
		return
	}
	delay := w.net.Between(0, 10*time.Millisecond)
	switch {
	case w.net.Chance(0.08):
		w.net.Count["slow response"]++
		delay = w.net.Between(100*time.Millisecond, 4*time.Second)
	case w.net.Chance(0.005):
		w.net.Count["no response"]++
		r.flawed = true
		return
	}
	w.net.After(delay, func() { c.respond(v) })
}

// Reset implements h2.Events.
func (c *h2UpConn) Reset(s *h2.Stream, why h2.Cause) {
	if why.Local {
		c.w.violate("the proxy broke stream %d: %s", s.ID(), why.Reason)
	}
	c.forget(s.Owner.(*h2Served))
}

// Done implements h2.Events.
func (c *h2UpConn) Done(s *h2.Stream) { c.forget(s.Owner.(*h2Served)) }

func (c *h2UpConn) forget(v *h2Served) {
	v.s = nil
	if i := slices.Index(c.calls, v); i >= 0 {
		c.calls = slices.Delete(c.calls, i, i+1)
	}
	if c.leaving {
		c.w.net.After(0, c.maybeClose)
	}
}

// reset ends a stream that the upstream does not want.
func (c *h2UpConn) reset(v *h2Served, code h2.ErrorCode) {
	s := v.s
	c.forget(v)
	s.Reset(code)
}

// Refused implements h2.Events: the proxy opened more than it may, before it could know.
func (c *h2UpConn) Refused(id uint32, why h2.Reason) {
	c.highest = max(c.highest, id)
	if k := c.tap.streams[id]; k != nil && why == h2.TooManyStreams {
		c.w.net.Count["opened too early"]++
		k.broke = true
		return
	}
	c.w.violate("the proxy broke stream %d: %s", id, why)
}
