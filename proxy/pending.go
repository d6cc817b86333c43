package proxy

import (
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Connections of a cluster that has a limit: who has none waits in the cluster's queue.
// What comes is the slot of a connection that ended somewhere, or a connection of this
// loop that has become free. Package upstream keeps the count and says who is next.

// What arrives by Post.
type (
	grantNote  struct{ upstream.Grant }            // a slot
	giveUpNote struct{ cluster *upstream.Cluster } // an idle connection of this loop is wanted elsewhere
)

// pending is who waits: an exchange, or a TCP connection.
type pending interface {
	waitsAs(seq uint64) bool
	// granted ends the wait: with a free connection, or, with nil, a slot for a new one.
	granted(u *upConn)
	again() // the connection that was granted has gone
}

// waiting is who waits as seq on the connection id; nil: nobody any more.
func (l *loop) waiting(id engine.ConnID, seq uint64) pending {
	switch r := l.at(id).(type) {
	case *httpConn:
		if r.x.waitsAs(seq) {
			return r.x
		}
	case *h2Conn:
		return r.waiting(seq)
	case *tcpConn:
		if r.waitsAs(seq) {
			return r
		}
	}
	return nil
}

// acquire asks for a slot.
func (l *loop) acquire(w *upstream.Waiter, id engine.ConnID, c *upstream.Cluster) upstream.Acquired {
	if l.cfg.Faults.IgnoreLimit {
		return upstream.HasSlot
	}
	w.Shard, w.Conn = l.sh.Index(), uint64(id)
	got, ask := c.Acquire(w)
	if got == upstream.Queued && ask >= 0 {
		l.post(ask, giveUpNote{c})
	}
	return got
}

// release gives a slot back.
func (l *loop) release(c *upstream.Cluster) {
	if l.cfg.Faults.LeakSlots {
		return
	}
	if g, ok := c.Release(); ok {
		l.post(g.Shard, grantNote{g})
	}
}

// deliverNoted is deliver as a call of the driver: within another walk a panic is not to be
// contained, because that walk is then over, too.
func (l *loop) deliverNoted(g upstream.Grant) {
	id := engine.ConnID(g.Conn)
	defer l.contain(id, l.at(id))
	l.deliver(g, nil)
}

// handed is a free connection on its way to whoever waited for one. It gets there when the
// walk that freed it is over: should that panic, or the other, it is one walk that ends.
type handed struct {
	g upstream.Grant
	u *upConn
}

func (l *loop) handOver() {
	for len(l.handed) > 0 {
		h := l.handed[0]
		l.handed = append(l.handed[:0], l.handed[1:]...)
		l.deliverTo(h)
	}
}

func (l *loop) deliverTo(h handed) {
	id := engine.ConnID(h.g.Conn)
	defer l.contain(id, l.at(id))
	if h.u.state != upEnded {
		l.deliver(h.g, h.u)
		return
	}
	// The walk panicked, and the connection went with it: whoever waited asks again.
	if p := l.waiting(id, h.g.Seq); p != nil {
		p.again()
	}
}

func (x *exchange) again() {
	c := x.c
	x.waits = false
	x.connect(nil)
	c.proceed()
}

func (c *tcpConn) again() {
	c.waits = false
	c.connect(nil)
}

// deliver ends the wait that g names, or gives the slot back.
func (l *loop) deliver(g upstream.Grant, u *upConn) {
	if p := l.waiting(engine.ConnID(g.Conn), g.Seq); p != nil {
		p.granted(u)
		return
	}
	if u != nil {
		u.close() // whoever waited is gone; its place is given back with it
		return
	}
	l.release(g.Cluster)
}

// giveUp closes an idle connection to c, if there still is one.
func (l *loop) giveUp(c *upstream.Cluster) {
	if l.cfg.Faults.KeepIdle {
		return
	}
	if u, ok := l.idle.TakeAny(c); ok {
		c.Unpooled(l.sh.Index(), 1)
		u.close()
	}
}

// sweep follows a change of policy: connections to what is gone are closed, and whoever
// waited for a limit that is gone goes on.
func (l *loop) sweep() {
	for _, u := range l.idle.Sweep() {
		u.close()
	}
	l.closeIdleOrigins(func(u *upH2) bool { return u.ep.Gone() }, len(l.roles))
	for _, c := range l.upstreams.Clusters() {
		if c.Recount(l.sh.Index(), l.idle.Count(c)) {
			l.giveUp(c)
		}
		for g, ok := c.Wake(); ok; g, ok = c.Wake() {
			l.post(g.Shard, grantNote{g})
		}
	}
	l.reconcile()
}

// take gets a pooled connection.
func (l *loop) take(ep *upstream.Endpoint) (*upConn, bool) {
	if ep.Cluster().Config().ProxyProtocol > 0 && !l.cfg.Faults.PoolNamed { // pooled before the policy asked for a header
		return nil, false
	}
	for {
		u, ok := l.idle.Take(ep, l.now())
		if ok {
			ep.Cluster().Unpooled(l.sh.Index(), 1)
		}
		if !ok || !u.stale() {
			return u, ok
		}
		u.close()
	}
}

// unpool takes this connection out of the pool.
func (u *upConn) unpool() {
	if u.l.idle.Remove(u.ep, u) {
		u.ep.Cluster().Unpooled(u.l.sh.Index(), 1)
	}
}

// offer finds a place for a connection that has become free: with whoever waits, or in the
// pool. False: it is not wanted here.
func (u *upConn) offer() bool {
	l, cl := u.l, u.ep.Cluster()
	keep := cl.Config().IdleTimeout
	if u.announced > 0 {
		keep = min(keep, u.announced-pooledMargin)
	}
	if keep <= 0 || u.ep.Gone() || u.stale() || cl.Config().ProxyProtocol > 0 && !l.cfg.Faults.PoolNamed {
		return false
	}
	g, ok, pool := cl.Pooled(l.sh.Index())
	if ok {
		u.state = upPooled // and taken out again as soon as this walk is over
		l.handed = append(l.handed, handed{g, u})
		return true
	}
	if !pool {
		return false
	}
	if !l.idle.Put(u.ep, u, l.now().Add(keep)) {
		cl.Unpooled(l.sh.Index(), 1)
		return false
	}
	u.state = upPooled
	u.arm(engine.TimerState, keep)
	return true
}

// slot is the right to one connection of a cluster; the zero slot is none.
type slot struct{ of *upstream.Cluster }

func (s *slot) free(l *loop) {
	if c := s.of; c != nil {
		s.of = nil
		l.release(c)
	}
}

func (x *exchange) waitsAs(seq uint64) bool { return x.waits && x.wait.Seq == seq }

// await waits for a connection to ep, or to any endpoint if the request was not sent yet.
func (x *exchange) await(ep *upstream.Endpoint) {
	x.waits, x.next = true, ep
	x.c.arm(engine.TimerState, x.route.Cluster.Config().PendingTimeout)
}

func (x *exchange) granted(u *upConn) {
	x.waits = false
	x.c.arm(engine.TimerState, 0)
	if u != nil {
		u.start(x)
		return
	}
	ep, cl := x.next, x.route.Cluster
	if ep.Gone() || ep.State() == upstream.Unhealthy {
		ep = cl.Pick(x.l.now(), nil)
	}
	if ep == nil {
		c := x.c
		x.l.release(cl)
		x.noEndpoint()
		c.proceed()
		return
	}
	dialUpstream(x, ep)
}

func (x *exchange) leaveQueue() {
	if x.waits {
		x.waits = false
		x.wait.Leave()
	}
}

func (x *exchange) pendingTimeout() {
	x.l.stats.pendingTimeouts.Add(1)
	x.failRequest(response{status: 503, reason: "pending_timeout", text: "no connection to the upstream became free in time (max_connections, pending_timeout)", fields: retryAfter}, errTruncated)
}

func (x *exchange) pendingFull() {
	x.reply(response{status: 503, reason: "pending_full", text: "too many requests wait for a connection to the upstream (max_connections, max_pending)", fields: retryAfter})
}

func (c *tcpConn) waitsAs(seq uint64) bool { return c.waits && c.wait.Seq == seq }

func (c *tcpConn) granted(*upConn) {
	c.waits = false
	c.arm(engine.TimerState, 0)
	ep := c.route.Cluster.Pick(c.l.now(), nil)
	if ep == nil {
		c.l.release(c.route.Cluster)
		c.shut(drain.Errored)
		return
	}
	c.dialTo(ep)
}

func (c *tcpConn) leaveQueue() {
	if c.waits {
		c.waits = false
		c.wait.Leave()
	}
}
