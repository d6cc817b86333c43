package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/upstream"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// tunnelPair carries bytes both ways between two ends, each a connection or a stream of one. What happens is
// decided by tunnel.Tunnel; this only does it.
type tunnelPair struct {
	l       *loop
	t       tunnel.Tunnel
	ends    [2]*tunnelEnd
	ln      *listener
	ep      *upstream.Endpoint
	handle  *drain.Conn // of the client's connection; nil: that is within
	within  *h2Conn     // the connection whose stream is the client's end; nil: there is none
	request string      // the ID of what was upgraded: whoever cuts the tunnel cuts this
	slot    slot        // of the upstream connection
	outcome tunnel.Outcome
	left    int       // ends whose Closed has not come
	hurried bool      // asked to go at the deadline when it was over, and its end still on its way
	bye     *farewell // of a WebSocket; nil: nobody knows what the bytes are

	live      liveStream
	barredFor streamEnd // it may not go on: no drain ended it
}

// newPair makes both ends. Each needs its wire before the tunnel is started.
func newPair(l *loop, ln *listener, ep *upstream.Endpoint) *tunnelPair {
	p := &tunnelPair{l: l, ln: ln, ep: ep, left: 2}
	for side := range p.ends {
		p.ends[side] = &tunnelEnd{l: l, p: p, side: tunnel.Side(side)}
	}
	return p
}

// ownedBy says whose handle the tunnel has. It stays what it was: a tunnel is in-flight work until both of its
// ends are gone (invariant 7).
func (p *tunnelPair) ownedBy(handle *drain.Conn) {
	p.handle = handle
	handle.Tunnel()
}

// start begins to carry.
func (p *tunnelPair) start(idle time.Duration) {
	if idle == 0 {
		idle = p.ep.Cluster().Config().TunnelIdle
	}
	cfg := tunnel.Config{Idle: idle, HalfOpen: p.l.cfg.HalfOpenTimeout}
	for _, end := range p.ends {
		if _, ok := end.wire.(*tunnelStream); ok { // what waits for it waits in our memory
			cfg.High, cfg.Low = highWater, highWater/2
		}
	}
	p.do(p.t.Start(cfg, p.l.now()))
}

// startTunnel turns an exchange that was upgraded to a protocol into a tunnel. early and late are what already came from the
// client and from the upstream. The exchange is over; what asked for it, and what answered, become its ends.
func (x *exchange) startTunnel(protocol, early, late []byte) *tunnelPair {
	u, c, route, live := x.up, x.c, x.route, x.live
	p := newPair(x.l, x.d.ln, u.endpoint())
	p.request = string(x.id.bytes())
	p.ep.Active.Add(1)
	u.become(p.ends[tunnel.Upstream])
	c.become(p.ends[tunnel.Downstream])
	p.start(route.tunnelIdle)
	if isWebSocket(protocol) {
		p.follow(route.closeCode)
	}
	p.opens(live)
	p.l.walkEnd(p.ends[tunnel.Upstream], func() { // the exchange is over: a panic is nobody's but the tunnel's
		p.carry(tunnel.Downstream, early)
		p.carry(tunnel.Upstream, late)
	})
	for _, end := range p.ends {
		end.begin()
	}
	return p
}

// carry passes on what came from one side.
func (p *tunnelPair) carry(from tunnel.Side, b []byte) {
	if len(b) == 0 {
		return
	}
	p.l.trip(p.ends[tunnel.Downstream].conn())
	if p.bye != nil {
		p.bye.carry(from, b)
		return
	}
	p.pass(from, b)
}

func (p *tunnelPair) pass(from tunnel.Side, b []byte) {
	to := p.ends[from.Other()]
	if !to.gone {
		to.send(b)
	}
	p.count(from, len(b))
	p.do(p.t.Bytes(from, len(b), to.queued(), p.l.now()))
	p.bulk(from, len(b))
}

// count tells the account of bytes that a side sent. Those of a stream are counted with its connection.
func (p *tunnelPair) count(from tunnel.Side, n int) {
	switch {
	case p.handle == nil:
	case from == tunnel.Downstream:
		p.handle.Bytes(int64(n), 0)
	default:
		p.handle.Bytes(0, int64(n))
	}
}

func (p *tunnelPair) do(actions tunnel.Actions) {
	for a := range actions.All() {
		end := p.ends[a.Side]
		switch a.Op {
		case tunnel.CloseWrite:
			if p.l.cfg.Faults.LateHalfClose {
				p.do(p.t.Evict())
				return
			}
			if p.bye != nil {
				p.bye.s.Hung(websocket.Peer(a.Side))
			}
			end.closeWrite()
		case tunnel.Pause:
			end.hold()
		case tunnel.Resume:
			end.goOn()
		case tunnel.Arm:
			// One timer for both, on whichever end lives.
			alive := p.ends[tunnel.Downstream]
			if alive.gone {
				alive = p.ends[tunnel.Upstream]
			}
			alive.arm(engine.TimerState, a.After)
		case tunnel.Finish:
			p.finish(a.Outcome)
		}
	}
}

// finish releases both ends: in good order after a whole tunnel, by reset after
// any other, so that what was cut short looks like it.
func (p *tunnelPair) finish(o tunnel.Outcome) {
	p.outcome = o
	for _, end := range p.ends {
		if end.gone {
			continue
		}
		if o.Clean() {
			end.close(p.l.cfg.Linger)
		} else {
			end.abort()
		}
	}
}

// drained maps how the tunnel ended to the words of the account.
func (p *tunnelPair) drained() drain.Outcome {
	switch p.outcome.Cause {
	case tunnel.Completed:
		return drain.Completed
	case tunnel.Cut:
		if p.barredFor == goesOn {
			return drain.Cut
		}
	case tunnel.Broken:
		if p.outcome.Side == tunnel.Downstream {
			return drain.ClientClosed
		}
	case tunnel.Idle, tunnel.TimedOut:
	}
	return drain.Errored
}

// hurry: it is on its way, and there is no more time for politeness.
func (p *tunnelPair) hurry() {
	p.hurried = true
	for _, end := range p.ends {
		if !end.gone {
			end.abort()
		}
	}
}

// release gives back what the tunnel held, with the second of its ends.
func (p *tunnelPair) release() {
	down, up := p.ends[tunnel.Downstream], p.ends[tunnel.Upstream]
	if p.left--; p.left > 0 {
		if down.gone && p.within == nil {
			p.l.behead(down.conn(), func(cause drain.Cause) { p.l.walkEnd(up, func() { up.evict(cause) }) })
		}
		return
	}
	p.l.part(&p.live)
	o := p.drained()
	p.ep.Active.Add(-1)
	if p.within != nil {
		p.within.tunnelOver(p, o)
		return
	}
	delete(p.l.headless, down.conn())
	p.ln.closed(o)
	p.l.leavePlace(p.ln, p.handle.Meta().Peer.Addr())
	p.handle.Done(o)
}

// behead notes who hears what the tracker asks of a connection that is gone, while something of it lives.
func (l *loop) behead(id engine.ConnID, evict func(drain.Cause)) {
	if l.headless == nil {
		l.headless = map[engine.ConnID]func(drain.Cause){}
	}
	l.headless[id] = evict
}
