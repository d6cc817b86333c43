package proxy

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// The request's way to the upstream. What comes back is in respond.go.

// Why an exchange was dropped after its response began.
var (
	errStalledClient   = errors.New("the client took too little of the response (timeouts.write, limits.min_rate)")
	errEvicted         = errors.New("evicted")
	errSilentPeer      = errors.New("the client is gone, or takes nothing")
	errDeadline        = errors.New("the drain deadline passed")
	errTruncated       = errors.New("the upstream ended its response early")
	errStreamIdle      = errors.New("the upstream sent no byte within the cluster's stream idle timeout")
	errBadChunk        = errors.New("the request body is malformed")
	errClientTruncated = errors.New("the client ended its request body early")
	errPanicked        = errors.New("the proxy met a fault of its own")
	errUnexpected101   = errors.New("the upstream switched protocols unasked")
)

// maxTries bounds how often one exchange is sent, and how many dials of it may fail.
const maxTries = 3

// forward begins the upstream half of an exchange that was allowed.
func (c *httpConn) forward() {
	c.x.head = c.appendRequestHead(c.l.getBuffer())
	c.state = forwarding
	if c.x.unrepeatable() && c.l.idle.Len() > 0 {
		c.afterTurn()
		return
	}
	c.connect(nil)
}

// connect gets a connection to an endpoint other than avoid: a pooled one, or a new one.
func (c *httpConn) connect(avoid *upstream.Endpoint) {
	ep := c.x.route.Cluster.Pick(c.l.now(), avoid)
	if ep == nil {
		c.noEndpoint()
		return
	}
	c.connectTo(ep, avoid != nil)
}

// connectTo gets a connection to ep. A retry goes out on a fresh one: the pool may be full
// of stale ones.
func (c *httpConn) connectTo(ep *upstream.Endpoint, fresh bool) {
	cl := ep.Cluster()
	if !fresh && !cl.Busy() {
		if u, ok := c.l.take(ep); ok {
			u.start(c)
			return
		}
	}
	c.x.wait.Fresh = fresh || ep.State() == upstream.Ejected // that one is to be tried itself
	switch c.l.acquire(&c.x.wait, c.id, cl) {
	case upstream.HasSlot:
		c.arm(engine.TimerState, 0) // what bounded the head; a dial has a limit of its own
		dialUpstream(c, ep)
	case upstream.Queued:
		c.await(ep)
	case upstream.Full:
		c.pendingFull()
	}
}

// noEndpoint answers at once: nobody is there to be asked.
func (c *httpConn) noEndpoint() {
	r := response{status: 503, reason: "no_endpoint", text: "the cluster of this route has no endpoint", fields: retryAfter}
	if len(c.x.route.Cluster.Endpoints()) > 0 {
		r.reason, r.text = "no_healthy_endpoint", "every endpoint of this route's cluster is ejected or fails its health check"
	}
	c.reply(r)
}

// connectFailed tries another endpoint: nothing was sent yet.
func (c *httpConn) connectFailed(ep *upstream.Endpoint) {
	x := c.x
	x.up = nil
	if x.dials++; x.dials < maxTries {
		if other := x.route.Cluster.PickOther(c.l.now(), ep); other != nil {
			c.connectTo(other, true)
			c.pump() // where there was no room, the body that waited is dropped
			return
		}
	}
	c.reply(response{status: 502, reason: "connect_failed", text: "no connection to the upstream", fields: retryAfter})
	c.pump()
}

// upstreamReady: the head is on its way; whatever of the body came already follows.
func (c *httpConn) upstreamReady() {
	if c.x.reqDone {
		c.requestSent()
	} else {
		// What bounded the head must not go off as if it bounded the response: the wait
		// for that begins when the request was sent.
		c.arm(engine.TimerState, 0)
		c.rateBegins()
		c.arm(engine.TimerRead, c.l.cfg.BodyTimeout)
	}
	c.pump()
}

// requestSent starts the wait for the response.
func (c *httpConn) requestSent() {
	c.arm(engine.TimerRead, 0)
	if !c.x.headSent {
		c.arm(engine.TimerState, c.x.route.responseWait())
	}
}

// forwardBody passes on request body bytes from the front of b and returns how many.
func (c *httpConn) forwardBody(b []byte) int {
	x := c.x
	u := x.up
	if x.reqDone || u == nil || u.state != upBusy {
		return 0
	}
	c.l.trip(c.id)
	data, n, err := x.body.Next(b)
	if err != nil {
		u.abandon()
		if x.headSent {
			c.drop(errBadChunk)
		} else {
			e := err.(*h1.Error)
			c.replyClose(response{status: e.Status, reason: e.Reason, text: e.Detail})
		}
		return 0
	}
	x.bodyBegun = true
	x.bytesIn += int64(len(data))
	switch {
	case !x.chunked:
		u.send(data)
	case len(data) > 0:
		c.l.out = h1.AppendChunk(c.l.out[:0], data)
		u.send(c.l.out)
	}
	if x.body.Done() {
		if x.chunked {
			c.l.out = h1.AppendLastChunk(c.l.out[:0], c.l.cleanTrailers(x.body.Trailers()))
			u.send(c.l.out)
		}
		x.reqDone = true
		c.requestSent()
		return n
	}
	c.arm(engine.TimerRead, c.l.cfg.BodyTimeout)
	if !(n == len(b) && c.moveBody()) && u.full() {
		x.pressed = true
		c.pause(pausePressure)
	}
	return n
}

// requestEOF: the client will send no more. In the middle of a body that is a
// request cut short: the upstream must not take it for a whole one.
func (c *httpConn) requestEOF() {
	if c.x.reqDone {
		return
	}
	c.decide(drain.ClientClosed)
	c.drop(errClientTruncated)
}

func (c *httpConn) bodyTimeout() {
	if c.state != forwarding || c.x.reqDone {
		return
	}
	if u := c.x.up; c.paused&pausePressure != 0 || u != nil && c.l.sh.Queued(u.id) > 0 {
		// The upstream is what stalls; its own timer bounds that.
		if u != nil {
			u.watchStall()
		}
		c.arm(engine.TimerRead, c.l.cfg.BodyTimeout)
		return
	}
	if c.awaitsContinue() {
		c.responseTimeout()
		return
	}
	c.failRequest(response{status: 408, reason: "body_timeout", text: "the request body took too long", close: true}, errClientTruncated)
}

func (c *httpConn) responseTimeout() {
	if c.waits {
		c.pendingTimeout()
		return
	}
	if u := c.x.up; u != nil {
		u.fault()
	}
	c.failRequest(response{status: 504, reason: "response_timeout", text: "the upstream did not answer in time"}, errTruncated)
}

// failRequest ends an exchange that cannot succeed: with an answer if none has begun.
func (c *httpConn) failRequest(r response, err error) {
	if c.x.headSent {
		c.drop(err)
		return
	}
	c.reply(r)
	c.pump()
}

// drop ends an exchange whose response can neither be finished nor taken back: what
// was sent must look as incomplete as it is.
func (c *httpConn) drop(err error) {
	x := c.x
	c.decide(drain.Errored)
	if x.up != nil {
		x.up.abandon()
	}
	begun := x.running && x.headSent
	if x.running {
		x.reason = "dropped"
		c.l.stats.dropped.Add(1)
		x.dropErr = err
		c.endAccount()
	}
	if c.l.cfg.Faults.HideTruncation && begun && x.respChunk {
		c.send(h1.AppendLastChunk(nil, nil))
		c.flushThenShut()
		return
	}
	switch {
	case begun && x.untilClose: // only a reset looks incomplete
		c.abort()
	case c.outcome == drain.Cut, errors.Is(err, errStalledClient):
		c.shut()
	default:
		// Missing chunks or missing length tell the truth after FIN as well, and FIN lets what was
		// sent arrive: the responses to earlier requests, too, however slowly the client reads.
		if c.l.sh.Queued(c.id) > 0 {
			c.noteOwed(true)
		}
		c.flushThenShut()
	}
}

// clientGone: the connection closed under a running exchange.
func (c *httpConn) clientGone(engine.End) {
	x := c.x
	if x.up != nil {
		x.up.abandon()
	}
	if !x.headSent {
		x.status, x.reason = 499, "client_closed"
	} else if x.reason == "" {
		x.reason = "client_closed"
	}
	c.endAccount()
}

// cutLinger is how long a connection that is cut may take to hear of it.
const cutLinger = 50 * time.Millisecond

// whyCut is what the access record says of a response that was cut.
func whyCut(cause drain.Cause) error {
	switch cause {
	case drain.CauseOperator:
		return errEvicted
	case drain.CausePeerGone, drain.CausePeerStuck:
		return errSilentPeer
	case drain.CauseIdle, drain.CauseFarewell, drain.CauseDeadline, drain.CauseRoute:
	}
	return errDeadline
}

// cut ends what has not finished. Whatever was decided had not come to pass.
func (c *httpConn) cut(cause drain.Cause) {
	c.decided, c.outcome = true, drain.Cut
	switch {
	case c.x.running && !c.x.headSent:
		r := response{status: 503, reason: "drain_deadline", text: "this replica stopped before the response came", fields: retryAfter}
		switch cause {
		case drain.CauseOperator:
			r.reason, r.text = "closed_by_operator", "an operator closed this connection"
		case drain.CausePeerGone, drain.CausePeerStuck:
			r.reason, r.text = cause.String(), "nothing was taken of what was sent before"
		case drain.CauseRoute:
			r.reason = cause.String()
		case drain.CauseIdle, drain.CauseFarewell, drain.CauseDeadline:
		}
		c.replyClose(r)
		c.shut() // behind a response that the client does not read, it would never leave
	case c.x.running:
		c.drop(whyCut(cause))
	default:
		// A partial head, a body that is being dropped, or a response that leaves slowly.
		c.shut()
	}
}
