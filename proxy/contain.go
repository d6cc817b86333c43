package proxy

import (
	"runtime/debug"
	"strings"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// A panic ends one exchange or one tunnel, and nobody else's: it is recovered where the
// driver called, the request is answered 500 if nothing of a response was sent, and its
// connections are dropped. A panic that says "BUG:" is a broken invariant of what all share
// (the driver, the account): that one ends the process, since nobody knows what else is
// wrong.

// site is where a panic was contained.
type site uint8

const (
	inWalk         site = iota // the walk of an exchange or tunnel
	inAuthenticate             // Try, on the loop
	inResolve                  // Resolve, off the loop
	inAuthorize
	numSites
)

func (s site) String() string {
	switch s {
	case inWalk:
		return "walk"
	case inAuthenticate:
		return "authenticate"
	case inResolve:
		return "resolve"
	case inAuthorize:
		return "authorize"
	case numSites:
	}
	return "invalid"
}

// contain is deferred by each call of the driver, with the connection and the role that it
// had when the call came.
func (l *loop) contain(id engine.ConnID, r role) {
	v := recover()
	if v == nil {
		return
	}
	where := l.site
	l.site = inWalk
	l.panicked(where, v)
	if r != nil {
		r.contained()
	}
	if id.Slot() < len(l.roles) {
		if now := l.roles[id.Slot()]; now != nil && now != r { // it became something else meanwhile
			now.contained()
		}
	}
	for _, r := range l.roles {
		if c, ok := r.(*httpConn); ok && c.orphaned() && !l.cfg.Faults.ForgetOrphans {
			c.contained()
		}
	}
	l.settle()
}

// panicked counts and tells; it does not return if the process must end.
func (l *loop) panicked(where site, v any) {
	if text, ok := v.(string); ok && strings.HasPrefix(text, "BUG:") {
		panic(v)
	}
	l.stats.panics[where].Add(1)
	if l.cfg.Panicked != nil {
		l.cfg.Panicked(where.String(), v, debug.Stack())
	}
}

// attempt runs what may panic once more.
func (l *loop) attempt(f func()) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			l.panicked(inWalk, v)
			ok = false
		}
	}()
	f()
	return true
}

// trip is a test seam: see Faults.Panic.
func (l *loop) trip(id engine.ConnID) {
	if f := l.cfg.Faults.Panic; f != nil && f(id) {
		panic("a fault was injected")
	}
}

// orphaned reports whether an exchange was left in the middle of a walk that another
// connection began: its upstream is gone and it was not told, or it began behind the one
// that ended. Outside a call of the driver neither can be.
func (c *httpConn) orphaned() bool {
	return c.state == forwarding && !c.waits && (c.x.up == nil || c.x.up.c != c) || c.state == awaitHead && c.x.running
}

func (c *httpConn) contained() {
	if !c.l.attempt(c.apologize) {
		c.wreck()
	}
}

// apologize ends the exchange as well as that can still be done.
func (c *httpConn) apologize() {
	switch {
	case c.x.running && !c.x.headSent && c.state != flushing && c.state != closing:
		c.internalError()
	case c.x.running:
		c.drop(errPanicked)
	case c.state != closing:
		c.decide(drain.Errored)
		c.abort()
	}
}

func (c *httpConn) internalError() {
	c.replyClose(response{status: 500, reason: "panic", text: "this request met a fault of the proxy"})
}

// wreck releases what an exchange holds without walking any further.
func (c *httpConn) wreck() {
	c.decide(drain.Errored)
	c.leaveQueue()
	if u := c.x.up; u != nil {
		u.wreck()
	}
	if c.x.running {
		c.x.running = false
		c.l.stats.active.Add(-1)
	}
	c.state = closing
	c.l.sh.Abort(c.id)
}

func (u *upConn) contained() {
	if c := u.c; c != nil {
		c.contained()
	}
	u.wreck()
}

func (u *upConn) wreck() {
	if u.state == upPooled {
		u.unpool()
	}
	u.state = upEnded
	u.detach()
	u.l.sh.Abort(u.id)
}

func (c *tcpConn) contained() {
	c.leaveQueue()
	if c.dial != nil {
		c.dial.giveUp()
	}
	if !c.closing {
		c.closing, c.outcome = true, drain.Errored
	}
	c.l.sh.Abort(c.id)
}

func (d *tcpDial) contained() {
	if c := d.c; c != nil {
		c.contained()
	}
}

func (u *checkConn) contained() { u.l.sh.Abort(u.id) }

func (s *stranger) contained() {}

func (e *tunnelEnd) contained() {
	e.p.bye = nil // no goodbye to connections that are reset
	for _, end := range e.p.ends {
		if !end.gone {
			e.l.sh.Abort(end.id)
		}
	}
}
