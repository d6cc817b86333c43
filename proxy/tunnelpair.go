package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/upstream"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// tunnelPair carries bytes both ways between two connections. What happens is decided
// by tunnel.Tunnel; this only does it.
type tunnelPair struct {
	l       *loop
	t       tunnel.Tunnel
	ends    [2]*tunnelEnd
	ln      *listener
	ep      *upstream.Endpoint
	handle  *drain.Conn
	slot    slot // of the upstream connection
	outcome tunnel.Outcome
	left    int       // ends whose Closed has not come
	hurried bool      // asked to go at the deadline when it was over, and its end still on its way
	bye     *farewell // of a WebSocket; nil: nobody knows what the bytes are
}

// tunnelEnd is the role of both connections of a tunnel.
type tunnelEnd struct {
	half
	p    *tunnelPair
	side tunnel.Side
	gone bool // Closed came
}

// newPair gives both connections their new role. The handle stays what it was: a
// tunnel is in-flight work until both connections are gone (invariant 7).
func newPair(l *loop, ln *listener, handle *drain.Conn, ep *upstream.Endpoint, idle time.Duration, down, up engine.ConnID) *tunnelPair {
	p := &tunnelPair{l: l, ln: ln, ep: ep, handle: handle, left: 2}
	for side, id := range []engine.ConnID{tunnel.Downstream: down, tunnel.Upstream: up} {
		p.ends[side] = &tunnelEnd{half: half{l: l, id: id}, p: p, side: tunnel.Side(side)}
		l.setRole(id, p.ends[side])
		for t := range engine.NumTimers {
			l.sh.Arm(id, t, 0)
		}
	}
	handle.Tunnel()
	if idle == 0 {
		idle = ep.Cluster().Config().TunnelIdle
	}
	p.do(p.t.Start(tunnel.Config{Idle: idle, HalfOpen: l.cfg.HalfOpenTimeout}, l.now()))
	return p
}

// startTunnel turns an upgraded exchange into a tunnel of that protocol. early and late are what
// already came from the client and from the upstream.
func startTunnel(c *httpConn, u *upConn, protocol, early, late []byte) {
	l, down, up := c.l, c.id, u.id
	ep := u.ep
	u.detach()
	u.state = upEnded
	ep.Active.Add(1)
	wasPaused := [2]bool{c.paused != 0, u.paused != 0}
	p := newPair(l, c.ln, c.handle, ep, c.x.route.tunnelIdle, down, up)
	p.slot = u.slot
	if isWebSocket(protocol) {
		p.follow(c.x.route.closeCode)
	}
	p.handle.Owes([]string{string(c.x.id.bytes())}) // whoever cuts the tunnel cuts this
	c.state = closing                               // neither object is anybody's role any more
	c.endedExchange()
	p.carry(tunnel.Downstream, early)
	p.carry(tunnel.Upstream, late)
	for side, paused := range wasPaused {
		if paused && p.ends[side].paused == 0 {
			l.sh.Resume(p.ends[side].id)
		}
	}
	if c.finished {
		p.ends[tunnel.Downstream].eof()
	}
}

// carry passes on what came from one side.
func (p *tunnelPair) carry(from tunnel.Side, b []byte) {
	if len(b) == 0 {
		return
	}
	p.l.trip(p.ends[tunnel.Downstream].id)
	if p.bye != nil {
		p.bye.carry(from, b)
		return
	}
	p.pass(from, b)
}

func (p *tunnelPair) pass(from tunnel.Side, b []byte) {
	to := p.ends[from.Other()]
	if !to.gone {
		p.l.sh.Send(to.id, b)
	}
	if from == tunnel.Downstream {
		p.handle.Bytes(int64(len(b)), 0)
	} else {
		p.handle.Bytes(0, int64(len(b)))
	}
	p.do(p.t.Bytes(from, len(b), p.l.sh.Queued(to.id), p.l.now()))
	p.bulk(from, len(b))
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
			p.l.sh.CloseWrite(end.id)
		case tunnel.Pause:
			end.pause(pausePressure)
		case tunnel.Resume:
			end.resume(pausePressure)
		case tunnel.Arm:
			// One timer for both, on whichever connection lives.
			id := p.ends[tunnel.Downstream].id
			if p.ends[tunnel.Downstream].gone {
				id = p.ends[tunnel.Upstream].id
			}
			p.l.sh.Arm(id, engine.TimerState, a.After)
		case tunnel.Finish:
			p.finish(a.Outcome)
		}
	}
}

// finish releases both connections: in good order after a whole tunnel, by reset after
// any other, so that what was cut short looks like it.
func (p *tunnelPair) finish(o tunnel.Outcome) {
	p.outcome = o
	for _, end := range p.ends {
		if end.gone {
			continue
		}
		if o.Clean() {
			p.l.sh.Close(end.id, p.l.cfg.Linger)
		} else {
			p.l.sh.Abort(end.id)
		}
	}
}

// drained maps how the tunnel ended to the words of the account.
func (p *tunnelPair) drained() drain.Outcome {
	switch p.outcome.Cause {
	case tunnel.Completed:
		return drain.Completed
	case tunnel.Cut:
		return drain.Cut
	case tunnel.Broken:
		if p.outcome.Side == tunnel.Downstream {
			return drain.ClientClosed
		}
	case tunnel.Idle, tunnel.TimedOut:
	}
	return drain.Errored
}

func (e *tunnelEnd) received(b []byte) { e.p.carry(e.side, b) }

func (e *tunnelEnd) eof() {
	if w := e.p.bye; w != nil && w.eof(e.side) {
		return
	}
	e.p.do(e.p.t.EOF(e.side, e.l.now()))
}

func (e *tunnelEnd) sent() { e.p.do(e.p.t.Drained(e.side, e.l.sh.Queued(e.id), e.l.now())) }

func (e *tunnelEnd) fired(t engine.Timer) {
	if t != engine.TimerState {
		if e.p.bye != nil {
			e.p.bye.fired(e, t)
		}
		return
	}
	var queued [2]int
	for side, end := range e.p.ends {
		queued[side] = e.l.sh.Queued(end.id)
	}
	e.p.do(e.p.t.Timer(e.l.now(), queued))
}

// evict: a tunnel has no idle moment that we could know of, so it ends at the deadline only,
// unless there is a way to say goodbye.
func (e *tunnelEnd) evict(cause drain.Cause) {
	p := e.p
	switch {
	case p.bye != nil:
		p.bye.evict(cause)
	case !cause.Cuts():
	case p.t.State() == tunnel.Finished:
		p.hurry()
	default:
		p.do(p.t.Evict())
	}
}

// hurry: it is on its way, and there is no more time for politeness.
func (p *tunnelPair) hurry() {
	p.hurried = true
	for _, end := range p.ends {
		if !end.gone {
			p.l.sh.Abort(end.id)
		}
	}
}

func (e *tunnelEnd) closed(end engine.End) {
	p := e.p
	e.gone = true
	if e.side == tunnel.Upstream {
		p.slot.free(e.l)
		e.l.upstreamEnded()
	} else {
		p.handle.Unsent(end.Unsent)
		if p.hurried && end.Unsent > 0 { // the end of it did not arrive
			p.outcome.Cause = tunnel.Cut
		}
	}
	defer p.release() // even if the walk panics
	if p.bye != nil && p.bye.closed(e.side, end) {
		return
	}
	p.do(p.t.Closed(e.side, end.Err, e.l.now()))
}

// release gives back what the tunnel held, with the second of its connections.
func (p *tunnelPair) release() {
	down := p.ends[tunnel.Downstream]
	if p.left--; p.left > 0 {
		if down.gone {
			if p.l.headless == nil {
				p.l.headless = map[engine.ConnID]*tunnelEnd{}
			}
			p.l.headless[down.id] = p.ends[tunnel.Upstream]
		}
		return
	}
	delete(p.l.headless, down.id)
	o := p.drained()
	p.ep.Active.Add(-1)
	p.ln.closed(o)
	p.l.leavePlace(p.ln, p.handle.Meta().Peer.Addr())
	p.handle.Done(o)
}

func (e *tunnelEnd) dialed(error) {}
func (e *tunnelEnd) answer(any)   {}
