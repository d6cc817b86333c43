package world

import (
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Scenarios in which both sides speak HTTP/2. What an upstream does with a request is in its path.

// h2Bulk is the length of a body that fits nowhere.
const h2Bulk = 4 << 20

// h2Most is how much of such a body may be on its way when its receiver takes nothing: what the windows of both
// connections allow, and what waits in the proxy and the network.
const h2Most = 700 << 10

// stuckStreams: who gives one stream no window keeps its sender from sending, and nobody else on the same connections.
var stuckStreams = &Scenario{
	Name:    "stuck streams",
	cluster: func(*world) string { return "protocol: http2" },
	configure: func(w *world, cfg *proxy.Config) {
		speaksH2(w, cfg)
		w.net.Window = max(w.net.Window, 16<<10) // what is stuck is not to be the network
	},
	stop: 12 * time.Second,
	play: func(w *world) {
		servers := w.h2Servers("up:1")
		c := w.dialH2(webAddr)
		var down, up *h2Exchange
		quick := []*h2Exchange{}
		c.ready = func() {
			down, up = c.ask("GET", "/big"), c.ask("POST", "/sink")
			down.greedy = true
			up.pour(h2Bulk)
		}
		w.every(time.Second, 8, func(int) { quick = append(quick, c.ask("GET", "/quick")) })
		w.net.After(10*time.Second, func() {
			for _, q := range quick {
				if q.status != 200 || !q.whole {
					w.violate("a request beside two stuck streams got status %d, whole %v", q.status, q.whole)
				}
			}
			if sent := up.sent(); sent > h2Most || sent == 0 {
				w.violate("%d bytes of a body left for an upstream that takes none", sent)
			}
			for _, s := range *servers {
				for _, x := range s.exchanges {
					if sent := x.sent(); x.path == "/big" && (sent > h2Most || sent == 0) {
						w.violate("%d bytes of a body left for a client that takes none", sent)
					}
				}
			}
			c.leave()
		})
	},
}

// multiplexed: of several exchanges on each connection some end in the drain, and some never do. Each counts once,
// as what became of it; and where all end, so does the drain.
var multiplexed = &Scenario{
	Name:      "multiplexed",
	cluster:   func(*world) string { return "protocol: http2" },
	configure: speaksH2,
	stop:      4 * time.Second,
	play: func(w *world) {
		const clients, quicks, lates = 3, 2, 3
		nevers := int(w.opt.Seed % 3)
		w.h2Servers("up:1")
		peers := make([]*h2Peer, clients)
		for i := range peers {
			peers[i] = w.dialH2(webAddr)
		}
		ask := func(path string, n int) {
			for _, p := range peers {
				for range n {
					p.ask("POST", path).finish()
				}
			}
		}
		w.net.After(time.Second, func() { ask("/quick", quicks) })
		w.net.After(2500*time.Millisecond, func() { ask("/late", lates); ask("/never", nevers) })
		w.net.After(28*time.Second, func() {
			last := time.Time{}
			for i, p := range peers {
				for _, x := range p.exchanges {
					switch {
					case x.path == "/never" && (x.status != 503 || x.reason != "drain_deadline" || !x.whole):
						w.violate("an exchange without end got %d (%s), whole %v", x.status, x.reason, x.whole)
					case x.path != "/never" && (x.status != 200 || !x.whole):
						w.violate("%s got %d (%s), whole %v", x.path, x.status, x.reason, x.whole)
					}
					last = later(last, x.endedAt)
				}
				if len(p.goaways) != 2 || p.goaways[0] != lastStream || p.goaways[1] != uint32(2*len(p.exchanges)-1) {
					w.violate("client %d was told %v", i, p.goaways)
				}
			}
			r := w.tracker.Receipt()
			x := r.Exchanges
			if n := uint64(clients * nevers); x.Interrupted != n || x.Failed != 0 || x.LameDuck+x.Draining != clients*lates || x.Started != n+clients*lates {
				w.violate("%d exchanges interrupted, and %d finished; the receipt counts %+v", n, clients*lates, x)
			}
			if r.Told != clients {
				w.violate("the receipt counts %d told to leave, want %d", r.Told, clients)
			}
			if wait := w.drainedAt.Sub(later(last, w.drainBegan)); nevers == 0 && wait > h2Soon {
				w.violate("the drain ended %v after the last exchange", wait)
			}
		})
	},
}

// speaksH2 has the listeners take HTTP/2.
func speaksH2(w *world, cfg *proxy.Config) {
	w.h2.clients = true
	for i := range cfg.Listeners {
		cfg.Listeners[i].HTTP2 = cfg.Listeners[i].Protocol == proxy.HTTP
	}
}

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
	last    int // of it that was queued when the stream ended
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
	case strings.HasPrefix(x.path, "/never"):
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
