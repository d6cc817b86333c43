package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// wire is what an end of a tunnel runs on: a connection of the driver, or a stream of an HTTP/2 connection. It tells its
// tunnelEnd what comes, and in the end, once, closed: behind close and abort, too, but never from within a call of them.
type wire interface {
	conn() engine.ConnID // the connection that it is, or is a part of
	begin()              // the tunnel stands: reading goes on, if nothing stops it
	send(b []byte)
	queued() int
	closeWrite() // behind all that was sent
	hold()       // nobody takes more of what comes
	goOn()       // undoes hold
	arm(t engine.Timer, d time.Duration)
	close(linger time.Duration) // in good order, as engine.Shard.Close
	abort()                     // by a reset
}

// tunnelEnd is one end of a tunnel.
type tunnelEnd struct {
	wire
	l    *loop
	p    *tunnelPair
	side tunnel.Side
	gone bool // closed came
}

func (e *tunnelEnd) received(b []byte) { e.p.carry(e.side, b) }

func (e *tunnelEnd) eof() {
	if w := e.p.bye; w != nil && w.eof(e.side) {
		return
	}
	e.p.do(e.p.t.EOF(e.side, e.l.now()))
}

func (e *tunnelEnd) sent() { e.p.do(e.p.t.Drained(e.side, e.queued(), e.l.now())) }

func (e *tunnelEnd) fired(t engine.Timer) {
	if t != engine.TimerState {
		if e.p.bye != nil {
			e.p.bye.fired(e, t)
		}
		return
	}
	var queued [2]int
	for side, end := range e.p.ends {
		queued[side] = end.queued()
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

func (e *tunnelEnd) closed(end engine.End) {
	p := e.p
	e.gone = true
	defer p.release() // even if the walk panics
	if p.bye != nil && p.bye.closed(e.side, end) {
		return
	}
	p.do(p.t.Closed(e.side, end.Err, e.l.now()))
}

// contained: no goodbye to what is reset.
func (e *tunnelEnd) contained() {
	e.p.bye = nil
	for _, end := range e.p.ends {
		if !end.gone {
			end.abort()
		}
	}
}

// tunnelConn is an end that is a connection, and its role.
type tunnelConn struct {
	half
	end *tunnelEnd
}

// takeConn makes a connection the end. paused: it is not being read.
func (e *tunnelEnd) takeConn(id engine.ConnID, paused bool) {
	c := &tunnelConn{half: half{l: e.l, id: id}, end: e}
	if paused {
		c.paused = pauseHeld
	}
	e.l.setRole(id, c)
	for t := range engine.NumTimers {
		c.half.arm(t, 0)
	}
	e.wire = c
}

func (c *tunnelConn) begin()        { c.resume(pauseHeld) }
func (c *tunnelConn) send(b []byte) { c.l.sh.Send(c.id, b) }
func (c *tunnelConn) queued() int   { return c.l.sh.Queued(c.id) }
func (c *tunnelConn) closeWrite()   { c.l.sh.CloseWrite(c.id) }
func (c *tunnelConn) hold()         { c.pause(pausePressure) }
func (c *tunnelConn) goOn()         { c.resume(pausePressure) }
func (c *tunnelConn) abort()        { c.l.sh.Abort(c.id) }

func (c *tunnelConn) close(linger time.Duration) { c.l.sh.Close(c.id, linger) }

func (c *tunnelConn) received(b []byte)       { c.end.received(b) }
func (c *tunnelConn) eof()                    { c.end.eof() }
func (c *tunnelConn) sent()                   { c.end.sent() }
func (c *tunnelConn) fired(t engine.Timer)    { c.end.fired(t) }
func (c *tunnelConn) evict(cause drain.Cause) { c.end.evict(cause) }
func (c *tunnelConn) contained()              { c.end.contained() }
func (c *tunnelConn) dialed(error)            {}
func (c *tunnelConn) answer(any)              {}

func (c *tunnelConn) closed(end engine.End) {
	p := c.end.p
	if c.end.side == tunnel.Upstream {
		p.slot.free(c.l)
		c.l.upstreamEnded()
	} else {
		p.handle.Unsent(end.Unsent)
		if p.hurried && end.Unsent > 0 { // the end of it did not arrive
			p.outcome.Cause = tunnel.Cut
		}
	}
	c.end.closed(end)
}
