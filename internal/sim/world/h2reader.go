package world

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// What an HTTP/2 client reads, and what it thinks of it.

func (c *h2Client) data(b []byte) {
	w := c.w
	c.receive(b)
	if c.ended || !w.net.Chance(0.03) {
		return
	}
	// Some read late, so that data waits in the network; some much too late.
	w.net.Count["slow reader"]++
	pause := w.net.Between(0, 700*time.Millisecond)
	if !c.stalled && w.net.Chance(0.2) && c.awaits(1000) {
		w.net.Count["stalled reader"]++
		c.stalled = true
		pause = 25 * time.Second
		w.stalls(c.sock)
	}
	sock := c.sock
	sock.Pause()
	c.readsAt = w.net.Now().Add(pause)
	w.net.After(pause, sock.Resume)
}

// awaits reports whether the body of some response is under way, with more than n bytes to come.
func (c *h2Client) awaits(n int) bool {
	for _, call := range c.calls {
		if call.r.status == 200 && len(call.match.want)-call.match.n > n {
			return true
		}
	}
	return false
}

// receive reads, and notes what the core has sent in answer.
func (c *h2Client) receive(b []byte) {
	c.h2end.receive(b)
	if !c.ended {
		c.flush()
		c.leaveOrGoOn()
	}
}

// Head implements h2.Events.
func (c *h2Client) Head(s *h2.Stream, fields []h2.Field, end bool) {
	call, w := s.Owner.(*h2Call), c.w
	r := call.r
	r.status, _ = strconv.Atoi(string(fieldOf(fields, ":status")))
	c.early = c.early && r.status == 503 // otherwise it was admitted by now
	if r.status != 200 {
		w.judgeRefusal(c.party(call), r, string(fieldOf(fields, "x-sluice-reason")))
	} else {
		of := fieldOf(fields, "x-for")
		if n, ok := numberAfter(of, 'r'); !ok || n != r.num {
			w.violate("r%d got the response to %q", r.num, of)
		}
		w.judgePermission(r, "200")
	}
	if end {
		c.answered(call)
	}
}

// Data implements h2.Events.
func (c *h2Client) Data(s *h2.Stream, b []byte, end bool) {
	call, w := s.Owner.(*h2Call), c.w
	call.match.add(b)
	n, id := len(b), s.ID()
	switch {
	case n == 0:
	case call.stuck:
		w.net.Count["stuck stream"]++
	case c.kind == h2Slow:
		w.net.Count["late window"]++
		w.net.After(w.net.Between(0, 250*time.Millisecond), func() {
			if call.s != nil && call.s.ID() == id && !c.ended {
				c.core.Consumed(call.s, n)
				c.flush()
			}
		})
	default:
		c.core.Consumed(s, n)
	}
	if end {
		c.answered(call)
	}
}

// Trailers implements h2.Events.
func (c *h2Client) Trailers(s *h2.Stream, _ []h2.Field) { c.answered(s.Owner.(*h2Call)) }

// answered: a complete response.
func (c *h2Client) answered(call *h2Call) {
	w, r := c.w, call.r
	call.whole = true
	r.answered, r.answeredAt = true, w.net.Now()
	w.trace("client %v has %d for r%d", c.sock.Addr, r.status, r.num)
	w.judgeBody(r, &call.match)
}

// Done implements h2.Events.
func (c *h2Client) Done(s *h2.Stream) {
	call := s.Owner.(*h2Call)
	if !call.whole {
		c.w.violate("r%d is done and has no whole response", call.r.num)
	}
	c.forget(call)
}

// Reset implements h2.Events.
func (c *h2Client) Reset(s *h2.Stream, why h2.Cause) {
	call, w := s.Owner.(*h2Call), c.w
	w.trace("client %v: r%d is reset: %+v", c.sock.Addr, call.r.num, why)
	p := c.party(call)
	c.forget(call)
	switch {
	case call.whole: // the rest of its request is not wanted
	case why.Local:
		w.violate("r%d: the response is malformed: %s", call.r.num, why.Reason)
	case why.Code == h2.NoError && !why.Unprocessed:
		w.violate("r%d was reset with NO_ERROR before its response was whole", call.r.num)
	case why.Unprocessed:
		c.refused(call)
	default:
		w.lost(p, call.r, "reset: "+why.Code.String())
	}
}

// stop closes our side in good order.
func (c *h2Client) stop() {
	if c.ended {
		return
	}
	c.ended = true
	if !c.finSent {
		c.sock.CloseWrite()
	}
	sock := c.sock
	sock.SetEvents(sim.Events{EOF: sock.Close, Reset: func() {}})
	sock.Resume()
	c.w.net.After(20*time.Second, sock.Close)
	c.w.parted = append(c.w.parted, c.w.net.Now())
}

// leaveOrGoOn is what a client does that has all its answers: it stays, or goes.
func (c *h2Client) leaveOrGoOn() {
	w := c.w
	switch {
	case len(c.calls) > 0 || c.opened == 0 || c.finSent:
	case c.core.PeerLeft():
		c.moveOn()
	case c.left == 0 && c.kind != h2Idler && w.net.Chance(0.1):
		c.stop()
	}
}

// moveOn sends what is left on another connection.
func (c *h2Client) moveOn() {
	w := c.w
	if c.moved || c.left == 0 || w.quiet || c.kind == h2Rude {
		return
	}
	c.moved = true
	w.net.Count["moved on"]++
	next := &h2Client{h2end: h2end{w: w}, addr: c.addr, kind: c.kind, left: c.left, most: c.most}
	c.left = 0
	w.net.After(w.net.Between(0, 200*time.Millisecond), next.connect)
}

// end: the proxy closed, or reset.
func (c *h2Client) end(how string) {
	if c.ended {
		return
	}
	w := c.w
	c.judgeEnd(how)
	c.ended = true
	for _, call := range c.calls {
		if !call.whole {
			w.trace("client %v: r%d %s", c.sock.Addr, call.r.num, how)
			w.lost(c.party(call), call.r, how)
		}
	}
	c.sock.Close()
	w.parted = append(w.parted, w.net.Now())
	c.moveOn()
}
