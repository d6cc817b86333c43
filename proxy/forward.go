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
	errGRPCTimeout     = errors.New("the deadline of the call passed (grpc-timeout)")
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
func (x *exchange) forward() {
	x.head = x.appendRequestHead(x.l.getBuffer())
	x.phase = forwarding
	if x.unrepeatable() && x.l.idle.Len() > 0 {
		x.afterTurn()
		return
	}
	x.connect(nil)
}

// connect gets a connection to an endpoint other than avoid: a pooled one, or a new one.
func (x *exchange) connect(avoid *upstream.Endpoint) {
	ep := x.route.Cluster.Pick(x.l.now(), avoid)
	if ep == nil {
		x.noEndpoint()
		return
	}
	x.connectTo(ep, avoid != nil)
}

// connectTo gets a connection to ep. A retry goes out on a fresh one: the pool may be full
// of stale ones.
func (x *exchange) connectTo(ep *upstream.Endpoint, fresh bool) {
	cl := ep.Cluster()
	if cl.Config().HTTP2 {
		x.connectH2(ep, fresh)
		return
	}
	if !fresh && !cl.Busy() {
		if u, ok := x.l.take(ep); ok {
			u.start(x)
			return
		}
	}
	if !x.mayDial() {
		x.noRoom()
		return
	}
	x.wait.Fresh = fresh || ep.State() == upstream.Ejected // that one is to be tried itself
	switch x.l.acquire(&x.wait, x.d.id, cl) {
	case upstream.HasSlot:
		x.c.arm(engine.TimerState, 0) // what bounded the head; a dial has a limit of its own
		dialUpstream(x, ep)
	case upstream.Queued:
		x.await(ep)
	case upstream.Full:
		x.pendingFull()
	}
}

// noEndpoint answers at once: nobody is there to be asked.
func (x *exchange) noEndpoint() {
	r := response{status: 503, reason: "no_endpoint", text: "the cluster of this route has no endpoint", fields: retryAfter}
	if len(x.route.Cluster.Endpoints()) > 0 {
		r.reason, r.text = "no_healthy_endpoint", "every endpoint of this route's cluster is ejected or fails its health check"
	}
	x.reply(r)
}

// connectFailed tries another endpoint: nothing was sent yet.
func (x *exchange) connectFailed(ep *upstream.Endpoint) {
	x.up = nil
	if x.dials++; x.dials < maxTries {
		if other := x.route.Cluster.PickOther(x.l.now(), ep); other != nil {
			c := x.c
			x.connectTo(other, true)
			c.proceed() // where there was no room, the body that waited is dropped
			return
		}
	}
	x.replyLate(response{status: 502, reason: "connect_failed", text: "no connection to the upstream", fields: retryAfter})
}

// upstreamReady: the head is on its way; whatever of the body came already follows.
func (x *exchange) upstreamReady() {
	if x.reqDone {
		if x.chunked { // this is a retry, and all there was of the body was its end
			x.up.endBody(nil)
		}
		x.requestSent()
	} else {
		// What bounded the head must not go off as if it bounded the response: the wait
		// for that begins when the request was sent.
		x.c.arm(engine.TimerState, 0)
		x.rateBegins()
		x.c.arm(engine.TimerRead, x.l.cfg.BodyTimeout)
	}
	x.c.proceed()
}

// requestSent starts the wait for the response.
func (x *exchange) requestSent() {
	x.c.arm(engine.TimerRead, 0)
	if !x.headSent {
		x.c.arm(engine.TimerState, x.responseWait())
	}
}

// takesBody reports whether a piece of the request body can be passed on now.
func (x *exchange) takesBody() bool { return !x.reqDone && x.up != nil && x.up.takesBody() }

// sendBody passes on a piece of the request body.
func (x *exchange) sendBody(data []byte) {
	x.bodyBegun = true
	x.bytesIn += int64(len(data))
	x.up.sendBody(data)
}

// endBody: all of the body was sent.
func (x *exchange) endBody(trailers []h1.Field) {
	x.up.endBody(trailers)
	x.reqDone = true
	x.bodyBegun = x.bodyBegun || len(trailers) > 0 // nobody keeps them
	x.requestSent()
	if c, ok := x.up.(*siteCall); ok {
		c.ask()
	}
}

// responseWait is how long the head of the response may take.
func (x *exchange) responseWait() time.Duration {
	if x.route == nil { // a site's
		return x.l.cfg.StageTimeout
	}
	return x.route.responseWait()
}

// moreBody: more of the body is to come, and only so fast as the upstream takes it.
func (x *exchange) moreBody() {
	x.c.arm(engine.TimerRead, x.l.cfg.BodyTimeout)
	if x.up.full() {
		x.pressed = true
		x.c.holdBody()
	}
}

// stateTimeout: what x is in lasted too long.
func (x *exchange) stateTimeout() {
	switch {
	case x.parked != nil:
		x.retryDecision()
	case x.phase == deciding:
		x.stageTimeout()
	case x.phase != forwarding:
	case x.reqDone:
		x.responseTimeout()
	default:
		x.rateEnds()
	}
}

func (x *exchange) bodyTimeout() {
	if x.phase != forwarding || x.reqDone {
		return
	}
	if u := x.up; x.c.bodyHeld() || u != nil && u.queued() > 0 {
		// The upstream is what stalls; its own timer bounds that.
		if u != nil {
			u.watchStall()
		}
		x.c.arm(engine.TimerRead, x.l.cfg.BodyTimeout)
		return
	}
	if x.awaitsContinue() {
		x.responseTimeout()
		return
	}
	x.failRequest(response{status: 408, reason: "body_timeout", text: "the request body took too long", close: true}, errClientTruncated)
}

func (x *exchange) responseTimeout() {
	if x.waits {
		x.pendingTimeout()
		return
	}
	if u := x.up; u != nil {
		u.fault()
	}
	x.failRequest(response{status: 504, reason: "response_timeout", text: "the upstream did not answer in time"}, errTruncated)
}

// failRequest ends an exchange that cannot succeed: with an answer if none has begun.
func (x *exchange) failRequest(r response, err error) {
	if x.headSent {
		x.c.drop(err)
		return
	}
	x.replyLate(r)
}

// clientGone: the connection closed under a running exchange.
func (x *exchange) clientGone() {
	if x.up != nil {
		x.up.abandon()
	}
	if !x.headSent {
		x.status, x.reason = 499, "client_closed"
	} else if x.reason == "" {
		x.reason = "client_closed"
	}
	x.endAccount()
}

// fail ends the account of an exchange whose response will not be finished, and reports whether it had begun.
func (x *exchange) fail(err error) (begun bool) {
	if x.up != nil {
		x.up.abandon()
	}
	begun = x.running() && x.headSent
	if x.running() {
		x.reason = "dropped"
		x.l.stats.dropped.Add(1)
		x.dropErr = err
		x.endAccount()
	}
	return begun
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

// cutResponse is the answer to a request that is cut before its response came.
func cutResponse(cause drain.Cause) response {
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
	return r
}
