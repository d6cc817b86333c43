package proxy

import (
	"runtime/debug"
	"strings"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
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
	if v := recover(); v != nil {
		l.containOne(id, r, v)
		l.settle()
	}
}

// contained is contain for what settle itself does.
func (l *loop) contained(id engine.ConnID, r role) {
	if v := recover(); v != nil {
		l.containOne(id, r, v)
	}
}

func (l *loop) containOne(id engine.ConnID, r role, v any) {
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
	if l.cfg.Faults.ForgetOrphans {
		return
	}
	for _, r := range l.roles {
		switch c := r.(type) {
		case *httpConn:
			if c.x.orphaned() {
				c.contained()
			}
		case *h2Conn:
			c.eachOrphan((*h2Stream).contained)
		}
	}
}

// containWalk is contain for a part of the walk of x that came about in a call for somebody else.
func (l *loop) containWalk(x *exchange) {
	v := recover()
	if v == nil {
		return
	}
	where := l.site
	l.site = inWalk
	l.panicked(where, v)
	if x.running() && x.c != nil {
		x.c.contained()
	}
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
func (x *exchange) orphaned() bool {
	return x.phase == forwarding && !x.waits && (x.up == nil || !x.up.carries(x)) || x.phase == walking
}

// Orphans is how many exchanges wait for nobody. It is for the simulation, between two calls of
// the driver: there it is 0.
func (core *Core) Orphans() (n int) {
	for _, l := range core.loops {
		for _, r := range l.roles {
			switch c := r.(type) {
			case *httpConn:
				if c.x.orphaned() {
					n++
				}
			case *h2Conn:
				c.eachOrphan(func(*h2Stream) { n++ })
			}
		}
	}
	return n
}

func (c *h2Conn) eachOrphan(f func(*h2Stream)) {
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok && st.x.orphaned() {
			f(st)
		}
	})
}

func (c *httpConn) contained() {
	if !c.l.attempt(c.apologize) {
		c.wreck()
	}
}

// apologize ends the exchange as well as that can still be done.
func (c *httpConn) apologize() {
	switch {
	case c.x.running() && !c.x.headSent && c.state != flushing && c.state != closing:
		c.x.internalError()
	case c.x.running():
		c.drop(errPanicked)
	case c.state != closing:
		c.decide(drain.Errored)
		c.abort()
	}
}

func (x *exchange) internalError() {
	x.replyClose(response{status: 500, reason: "panic", text: "this request met a fault of the proxy"})
}

func (c *httpConn) wreck() {
	c.decide(drain.Errored)
	c.x.wreck()
	c.state = closing
	c.l.sh.Abort(c.id)
}

// wreck releases what an exchange holds without walking any further.
func (x *exchange) wreck() {
	x.leaveQueue()
	x.unpark()
	if u := x.up; u != nil {
		u.wreck()
	}
	if x.running() {
		x.phase = ended
		x.l.stats.active.Add(-1)
	}
}

func (u *upConn) contained() {
	if x := u.x; x != nil {
		x.c.contained()
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

// walkEnd runs what is to happen at an end of a tunnel in a call for somebody else: a panic ends that tunnel, and not
// whoever the call was for.
func (l *loop) walkEnd(e *tunnelEnd, f func()) {
	defer func() {
		if v := recover(); v != nil {
			l.site = inWalk
			l.panicked(inWalk, v)
			e.contained()
		}
	}()
	f()
}
