package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// tcpConn is a connection of a TCP listener until its upstream is there; then it is
// one end of a tunnel.
type tcpConn struct {
	half
	ln      *listener
	ends    ends
	opening opening
	proof   *proof
	early   []byte      // the part of a PROXY header that came; then what came behind it
	handle  *drain.Conn // nil: refused
	snap    *Snapshot   // under which it was allowed, by route
	route   *tcpRoute
	dial    *tcpDial
	tries   int
	waits   bool // for a connection of its cluster, as wait says
	wait    upstream.Waiter
	closing bool
	refused bool // it holds no place under limits.max_connections
	cut     bool // the deadline of the drain passed
	hasty   bool // too many refused connections linger already
	outcome drain.Outcome
}

// begin asks the same two questions as an exchange: is the policy in force, and does it
// allow this connection? It may have to begin with something else.
func (c *tcpConn) begin(how opening) {
	l, ln := c.l, c.ln
	h, err := l.track(c.id, ln, c.ends.remote)
	switch {
	case err == nil:
		c.handle = h
		h.Tunnel()
		if c.opening = how; how == ready {
			c.admitted()
			return
		}
		c.arm(engine.TimerState, l.cfg.HeaderTimeout)
		c.secure(nil)
		return
	case l.tracker.State() >= drain.Draining:
		l.refused(ln, refusedDraining)
	default:
		l.refused(ln, whyNot(err, refusedUnsynced))
	}
	c.refuse()
}

// admitted decides about a connection whose client is known.
func (c *tcpConn) admitted() {
	l := c.l
	snap := l.gate.Load()
	if snap == nil && l.cfg.Faults.ServeWithoutPolicy {
		snap = l.gate.pending.Load()
	}
	if snap == nil {
		l.refused(c.ln, refusedUnsynced)
		c.refuse()
		return
	}
	if l.gate.withheld.Load() {
		l.refused(c.ln, refusedStale)
		c.refuse()
		return
	}
	r := snap.tcp[c.ln.cfg.Name]
	if r == nil { // no route: TCP closes
		l.refused(c.ln, refusedNoRoute)
		c.refuse()
		return
	}
	c.handle.Describe(&r.Name, nil)
	c.handle.SetTerms(r.terms)
	l.areq = authz.Request{Route: r.Name, Time: l.now(), Source: c.ends.remote.Addr(), Certificate: c.proof.certificate()}
	l.site = inAuthorize
	l.trip(c.id)
	d := r.Authorizer.Authorize(nil, &l.areq)
	l.site = inWalk
	l.stats.decided(d)
	if recorded := l.recordTCP(d, snap.Version, c.ln, r.decisions); d.Verdict != authz.Allow || !recorded {
		c.refuse()
		return
	}
	c.snap, c.route = snap, r
	c.pause(pauseConnect)
	c.connect(r.Cluster.Pick(l.now(), nil))
}

// connect begins the way to ep; nil: there is none.
func (c *tcpConn) connect(ep *upstream.Endpoint) {
	c.tries++
	if ep == nil {
		c.shut(drain.Errored)
		return
	}
	c.wait.Fresh = true // a pooled connection speaks HTTP
	switch c.l.acquire(&c.wait, c.id, ep.Cluster()) {
	case upstream.HasSlot:
		c.dialTo(ep)
	case upstream.Queued:
		c.waits = true
		c.arm(engine.TimerState, ep.Cluster().Config().PendingTimeout)
	case upstream.Full:
		c.shut(drain.Errored)
	}
}

// dialTo begins the upstream connection; the caller has a slot for it.
func (c *tcpConn) dialTo(ep *upstream.Endpoint) {
	ep.Requests.Add(1)
	ep.Active.Add(1)
	c.l.upstreamBegins()
	id := c.l.sh.Dial(ep.Addr, ep.Cluster().Config().ConnectTimeout)
	c.dial = &tcpDial{c: c, id: id, ep: ep, slot: slot{ep.Cluster()}, l: c.l, began: c.l.now()}
	c.l.setRole(id, c.dial)
}

// refuse closes a connection that gets no tunnel. It gives its place under
// limits.max_connections back at once: whoever is refused must not crowd out others.
func (c *tcpConn) refuse() {
	l := c.l
	c.refused = true
	if c.handle == nil {
		l.unadmitted.add()
	} else {
		l.leavePlace(c.ln, c.handle.Meta().Peer.Addr())
		l.denied.Add(1)
	}
	c.hasty = !l.mayLinger()
	c.shut(drain.Completed)
}

func (c *tcpConn) shut(o drain.Outcome) {
	if c.closing {
		return
	}
	c.closing, c.outcome = true, o
	c.leaveQueue()
	if c.dial != nil {
		c.dial.giveUp()
	}
	linger := c.l.cfg.Linger
	switch {
	case c.hasty:
		linger = 0
	case c.cut:
		linger = min(linger, cutLinger)
	}
	c.l.sh.Close(c.id, linger)
}

func (c *tcpConn) evict(cause drain.Cause) {
	switch {
	case !cause.Cuts():
	case c.closing: // it is on its way; there is no more time for politeness
		c.l.sh.Abort(c.id)
	default:
		c.cut = true
		c.shut(drain.Cut)
	}
}

func (c *tcpConn) closed(engine.End) {
	c.leaveQueue()
	if c.dial != nil {
		c.dial.giveUp()
	}
	if c.handle == nil {
		c.l.unadmitted.done()
		return
	}
	o := drain.ClientClosed
	if c.closing {
		o = c.outcome
	}
	c.ln.closed(o)
	if c.refused {
		c.l.denied.Add(-1)
	} else {
		c.l.leavePlace(c.ln, c.handle.Meta().Peer.Addr())
	}
	c.handle.Done(o)
}

func (c *tcpConn) sent()             {}
func (c *tcpConn) dialed(error)      {}
func (c *tcpConn) moved(int64, bool) {}

func (c *tcpConn) fired(t engine.Timer) {
	switch {
	case t != engine.TimerState:
	case c.opening == preamble && !c.closing:
		c.badPreamble()
	case c.opening == securing && !c.closing:
		c.unsecured(errHandshakeTimeout)
	case c.waits:
		c.l.stats.pendingTimeouts.Add(1)
		c.shut(drain.Errored)
	}
}

// tcpDial is the upstream connection of a tcpConn while it is being made.
type tcpDial struct {
	l    *loop
	c    *tcpConn // nil: given up
	id   engine.ConnID
	ep   *upstream.Endpoint
	slot slot

	began    time.Time
	securing bool // its TLS handshake runs
}

// giveUp parts the two. Aborting ends a dial that still runs; on an ID that is dead
// already it does nothing.
func (d *tcpDial) giveUp() {
	c := d.c
	c.dial, d.c = nil, nil
	d.ep.Active.Add(-1)
	c.l.sh.Abort(d.id)
}

func (d *tcpDial) dialed(err error) {
	c := d.c
	if err != nil {
		d.slot.free(d.l)
		d.l.upstreamEnded()
	}
	if c == nil {
		return
	}
	switch {
	case err != nil:
		d.failed()
	case !d.secures():
		d.sendHeader()
		d.connected()
	}
}

// failed tries another endpoint.
func (d *tcpDial) failed() {
	c := d.c
	d.ep.ConnectErrs.Add(1)
	d.ep.Failed(c.l.now())
	d.giveUp()
	if c.tries >= maxTries {
		c.shut(drain.Errored)
		return
	}
	c.connect(c.route.Cluster.PickOther(c.l.now(), d.ep))
}

// connected makes a tunnel of the two.
func (d *tcpDial) connected() {
	c := d.c
	d.ep.Connects.Add(1)
	d.ep.Answered(c.l.now())
	c.dial = nil
	c.closing = true // from here on the tunnel has both connections
	p := newPair(c.l, c.ln, d.ep)
	p.slot = d.slot
	p.ends[tunnel.Downstream].takeConn(c.id, true)
	p.ends[tunnel.Upstream].takeConn(d.id, false)
	p.ownedBy(c.handle)
	p.start(c.route.tunnelIdle)
	p.opens(liveStream{snap: c.snap, maxAge: c.route.maxStreamAge,
		asked: &asked{listener: c.ln.cfg.Name, source: c.ends.remote.Addr(), certificate: c.proof.certificate()}})
	if c.l.lookAtStream(&p.live) == costEnds { // the policy has changed meanwhile
		return
	}
	p.carry(tunnel.Downstream, c.early)
	p.ends[tunnel.Downstream].begin()
}

func (d *tcpDial) closed(engine.End) {
	d.slot.free(d.l)
	d.l.upstreamEnded()
	if c := d.c; c != nil && d.securing {
		d.secured(errHandshakeCut)
	} else if c != nil {
		d.giveUp()
		c.shut(drain.Errored)
	}
}

func (d *tcpDial) received([]byte)   {}
func (d *tcpDial) eof()              {}
func (d *tcpDial) sent()             {}
func (d *tcpDial) moved(int64, bool) {}
func (d *tcpDial) evict(drain.Cause) {}
