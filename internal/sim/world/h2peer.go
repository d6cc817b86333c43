package world

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Peer is one end of a connection of a scenario, on either side of the proxy.
type h2Peer struct {
	h2end
	ready     func() // the client's connection stands
	client    bool
	exchanges []*h2Exchange
	goaways   []uint32
}

// h2Exchange is one of its streams.
type h2Exchange struct {
	p       *h2Peer
	s       *h2.Stream // nil: it ended
	path    string
	status  int
	reason  string
	whole   bool // what comes
	greedy  bool // gives no window back
	left    int  // to be written
	written int
	heard   func(b []byte) // nil: nobody cares
	last    int            // of it that was queued when the stream ended
	endedAt time.Time
}

func (w *world) dialH2(addr string) *h2Peer {
	p := &h2Peer{h2end: h2end{w: w}, client: true}
	p.core = h2.New(h2.Config{Client: true, StreamWindow: 1 << 16, ConnWindow: 1 << 20}, p)
	p.sock = w.net.Dial(addr, sim.Events{
		Connected: func(err error) {
			if err != nil {
				p.ended = true
				w.notConnected(err)
				return
			}
			p.flush()
			if p.ready != nil {
				p.ready()
				p.flush()
			}
		},
		Data:  p.receive,
		EOF:   func() { p.ended = true; p.sock.Close() },
		Reset: func() { p.ended = true },
	})
	return p
}

// h2Servers listens.
func (w *world) h2Servers(addr string) *[]*h2Peer {
	all := new([]*h2Peer)
	w.net.Listen(addr).Accept(func(s *sim.Sock) {
		p := &h2Peer{h2end: h2end{w: w, sock: s}}
		p.core = h2.New(h2.Config{StreamWindow: 1 << 16, ConnWindow: 1 << 20}, p)
		*all = append(*all, p)
		s.SetEvents(sim.Events{Data: p.receive, EOF: func() { p.ended = true; s.Close() }, Reset: func() { p.ended = true }})
		p.flush()
	})
	return all
}

// leave resets what runs, and closes.
func (p *h2Peer) leave() {
	if !p.ended {
		p.core.Each(func(s *h2.Stream) { s.Reset(h2.Cancel) })
		p.flush()
		p.sock.CloseWrite()
	}
}

// ask opens a stream, whose body is still to come if it is a POST.
func (p *h2Peer) ask(method, path string) *h2Exchange {
	x := &h2Exchange{p: p, path: path}
	p.exchanges = append(p.exchanges, x)
	s, err := p.core.Open([]h2.Field{pair(":method", method), pair(":scheme", "http"), pair(":authority", "app.test"), pair(":path", path)}, method != "POST")
	if err != nil {
		p.w.violate("%s cannot be asked for: %v", path, err)
		return x
	}
	x.s, s.Owner = s, x
	p.w.net.After(0, p.flush)
	return x
}

// finish ends a body that is empty.
func (x *h2Exchange) finish() {
	if x.s != nil {
		x.s.Write(nil, true)
	}
}

// pour writes n bytes as fast as the windows let them go.
func (x *h2Exchange) pour(n int) {
	x.left = n
	x.more()
}

func (x *h2Exchange) more() {
	for x.s != nil && x.left > 0 && x.s.Queued() < 64<<10 {
		k := min(x.left, 16<<10)
		x.left -= k
		x.written += k
		x.s.Write(text[:k], x.left == 0)
	}
}

// sent is how much of what was written has left.
func (x *h2Exchange) sent() int {
	if x.s == nil {
		return x.written - x.last
	}
	return x.written - x.s.Queued()
}

// Head implements h2.Events.
func (p *h2Peer) Head(s *h2.Stream, fields []h2.Field, end bool) {
	if p.client {
		x := s.Owner.(*h2Exchange)
		x.status, _ = strconv.Atoi(string(fieldOf(fields, ":status")))
		x.reason, x.whole = string(fieldOf(fields, "x-sluice-reason")), end
		return
	}
	path := string(fieldOf(fields, ":path"))
	x := &h2Exchange{p: p, s: s, path: path, whole: end, greedy: path == "/sink"}
	s.Owner = x
	p.exchanges = append(p.exchanges, x)
	if end {
		x.serve()
	}
}

// Data implements h2.Events.
func (p *h2Peer) Data(s *h2.Stream, b []byte, end bool) {
	x := s.Owner.(*h2Exchange)
	x.whole = end
	if x.heard != nil {
		x.heard(b)
	}
	if !x.greedy {
		p.core.Consumed(s, len(b))
	}
	if end && !p.client {
		x.serve()
	}
}

// serve answers a request that is whole.
func (x *h2Exchange) serve() {
	delay, n := time.Duration(0), 2
	switch {
	case x.path == "/never":
		return
	case x.path == "/late":
		delay = 4 * time.Second
	case x.path == "/big":
		n = h2Bulk
	}
	x.p.w.net.After(delay, func() {
		if x.s != nil && !x.p.ended {
			x.s.Head([]h2.Field{pair(":status", "200")}, false)
			x.pour(n)
			x.p.flush()
		}
	})
}

// Room implements h2.Events.
func (p *h2Peer) Room(s *h2.Stream) { s.Owner.(*h2Exchange).more() }

// Reset implements h2.Events.
func (p *h2Peer) Reset(s *h2.Stream, _ h2.Cause) { s.Owner.(*h2Exchange).end(s) }

// Done implements h2.Events.
func (p *h2Peer) Done(s *h2.Stream) { s.Owner.(*h2Exchange).end(s) }

func (x *h2Exchange) end(s *h2.Stream) { x.s, x.last, x.endedAt = nil, s.Queued(), x.p.w.net.Now() }

// GoAway implements h2.Events.
func (p *h2Peer) GoAway(last uint32, _ h2.ErrorCode, _ []byte) { p.goaways = append(p.goaways, last) }
