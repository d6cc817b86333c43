package proxy

import (
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// How a downstream connection ends: told to, timed out, cut, or left.

// peerLeft closes a connection whose peer will send no more and is owed nothing but what is
// still leaving: a client may end its half behind its last request, and read slowly.
func (c *httpConn) peerLeft() {
	c.decide(drain.ClientClosed)
	c.flushThenShut()
}

// shut closes in good order.
func (c *httpConn) shut() {
	if c.state == closing {
		return
	}
	c.state = closing
	if c.l.cfg.Faults.AbortOnClose {
		c.l.sh.Abort(c.id)
		return
	}
	c.l.sh.Close(c.id, c.linger)
}

// abort resets, so that what was sent looks as incomplete as it is.
func (c *httpConn) abort() {
	if c.state == closing {
		return
	}
	c.state = closing
	c.l.sh.Abort(c.id)
}

// flushThenShut closes once everything sent has left.
func (c *httpConn) flushThenShut() {
	if c.state == closing {
		return
	}
	c.state = flushing
	if c.l.sh.Queued(c.id) == 0 {
		c.shut()
	}
}

func (c *httpConn) sent() {
	c.owed = c.owed[:0] // and its memory: whoever sent ahead once does so again
	c.flushed()
	switch {
	case c.state == flushing:
		c.shut() // and stays active in the account until the client has read it all
	case c.undelivered:
		c.delivered()
		if c.state == awaitHead && !c.partial {
			c.arm(engine.TimerState, c.l.cfg.IdleTimeout) // from here on it is idle
		}
	}
	if c.state == awaitHead && !c.partial && len(c.in) > 0 {
		c.proceed() // a request waited for the responses before it to leave
	}
	if u := c.x.up; u != nil {
		u.goOn()
	}
}

// delivered makes the connection idle in the account: the last response has left.
func (c *httpConn) delivered() {
	if !c.undelivered {
		return
	}
	c.undelivered = false
	c.endedExchange()
	if c.handle != nil {
		c.handle.Idle()
	}
}

func (c *httpConn) fired(t engine.Timer) {
	switch t {
	case engine.TimerWrite:
		if c.stalled(c.l.leastTaken()) {
			c.l.stats.slow.Add(1)
			c.decide(drain.Errored)
			c.drop(errStalledClient)
		}
	case engine.TimerRead:
		c.x.bodyTimeout()
	case engine.TimerState:
		c.stateTimeout()
	}
}

func (c *httpConn) stateTimeout() {
	switch c.state {
	case awaitHead:
		switch {
		case c.opening == preamble:
			c.badPreamble()
		case c.opening == securing:
			c.unsecured(errHandshakeTimeout)
		case c.partial:
			c.startExchange()
			c.partial = false
			c.x.replyClose(response{status: 408, reason: "header_timeout", text: "the request head took too long"})
		case c.undelivered: // the client still reads; TimerWrite bounds that
			c.arm(engine.TimerState, c.l.cfg.IdleTimeout)
		default:
			c.l.stats.idleTimeouts.Add(1)
			c.decide(drain.IdleClosed)
			c.shut()
		}
	case exchanging:
		c.x.stateTimeout()
	case discarding:
		c.decide(drain.Completed)
		c.flushThenShut()
	case flushing, closing:
	}
}

// evict is asked for by the tracker; the state decides, since the connection may
// have become active in between.
func (c *httpConn) evict(cause drain.Cause) {
	if cause == drain.CauseFarewell {
		c.leaving = true
		c.x.farewell()
		return
	}
	idle := c.state == awaitHead && !c.partial && len(c.in) == 0
	if cause.Cuts() {
		c.linger = min(c.linger, cutLinger)
		c.hurried = c.state == closing || c.state == flushing || c.undelivered
		c.nameOwed()
	}
	switch {
	case c.state == closing:
		// It is on its way; whoever is cut has no more time for politeness.
		if cause.Cuts() {
			c.l.sh.Abort(c.id)
		}
	case c.state == flushing && cause.Cuts():
		c.shut() // whether the response arrives in this time decides what it was
	case idle && c.undelivered && cause.Cuts():
		c.decide(drain.Completed) // if the response arrives
		c.shut()
	case idle && c.undelivered:
		// The client is still reading its response.
	case idle:
		c.decide(drain.IdleClosed)
		c.shut()
	case !cause.Cuts():
		// A request came first: it is served and told to leave.
		if c.l.cfg.Faults.EvictActive {
			c.decide(drain.IdleClosed)
			c.drop(errEvicted)
		}
	default:
		c.cut(cause)
	}
}

// leaveUnadmitted ends a connection that was never admitted, once nobody will be.
func (c *httpConn) leaveUnadmitted() {
	if c.state == awaitHead && !c.partial && len(c.in) == 0 {
		c.arm(engine.TimerState, lastWords)
	}
}

func (c *httpConn) closed(end engine.End) {
	defer c.release(end) // even if the walk panics
	if c.x.running() {
		c.l.trip(c.id)
		c.x.clientGone()
	}
}

// release gives back what the connection held, and says how it ended.
func (c *httpConn) release(end engine.End) {
	if !c.x.running() { // after a panic it still has to be accounted for
		c.endedExchange()
	}
	if c.in != nil {
		c.l.putBuffer(c.in)
		c.in = nil
	}
	c.settleAccount(end, c.hurried)
}

func (c *httpConn) located() { c.describe(c.x) }
