package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// upState is the state of an upstream connection.
//
//	connecting ──▶ busy ◀──▶ pooled
//	    │           │           │
//	    └───────────┴───────────┴──▶ ended
type upState uint8

const (
	upConnecting upState = iota // Dial runs
	upBusy                      // carries u.x
	upPooled                    // waits in loop.idle
	upEnded                     // Close or Abort was called, or it closed
)

// upConn is an upstream HTTP/1.1 connection, for one exchange at a time.
type upConn struct {
	half
	ep    *upstream.Endpoint
	x     *exchange // nil unless connecting or busy
	state upState
	slot  slot
	tls   upTLS

	in        []byte // beginning of a response head
	scan      h1.HeadScanner
	partial   bool
	body      h1.Body
	inBody    bool
	answered  bool // some byte of a response came: no retry
	reused    bool // the exchange runs on a connection from the pool
	keepAlive bool // the response allows reuse
	announced time.Duration
	finished  bool // the peer's FIN came
}

// dialUpstream begins a connection for x; the caller has a slot for it.
func dialUpstream(x *exchange, ep *upstream.Endpoint) {
	l := x.l
	l.upstreamBegins()
	id := l.sh.Dial(ep.Addr, ep.Cluster().Config().ConnectTimeout)
	u := &upConn{half: half{l: l, id: id}, ep: ep, x: x, slot: slot{ep.Cluster()}, tls: upTLS{began: l.now()}}
	l.setRole(id, u)
	x.up = u
	ep.Requests.Add(1)
	ep.Active.Add(1)
}

// start sends the head of an exchange on this connection.
func (u *upConn) start(x *exchange) {
	if u.state == upPooled {
		u.reused = true
		u.ep.Requests.Add(1)
		u.ep.Active.Add(1)
		u.arm(engine.TimerState, 0)
	}
	u.x, u.state = x, upBusy
	u.inBody, u.answered, u.partial = false, false, false
	x.up = u
	x.tries++
	if v := u.ep.Cluster().Config().ProxyProtocol; v > 0 && !u.reused && !u.tls.on {
		out := appendProxyHeader(u.l.out[:0], v, x.d.ends.peer())
		u.l.out = append(out, x.head...)
		u.send(u.l.out)
	} else {
		u.send(x.head)
	}
	x.upstreamReady()
}

func (u *upConn) dialed(err error) {
	x := u.x
	if err != nil {
		u.l.upstreamEnded()
	}
	if u.state == upEnded { // given up meanwhile; the driver would have said Closed
		if err != nil {
			u.slot.free(u.l)
		}
		return
	}
	if err != nil {
		u.slot.free(u.l)
		u.unconnected()
		return
	}
	if u.secures() {
		return
	}
	u.ep.Connects.Add(1)
	u.l.trip(x.d.id)
	u.start(x)
}

// fault counts against the endpoint: the exchange failed, and not by the client's doing.
func (u *upConn) fault() {
	u.ep.Failures.Add(1)
	u.ep.Failed(u.l.now())
}

// detach ends the association with the exchange. The client is read again: what is left
// of its request is dropped, and nobody else would resume it.
func (u *upConn) detach() {
	if x := u.x; x != nil {
		u.x, x.up = nil, nil
		x.c.takeBody()
		u.ep.Active.Add(-1)
	}
	u.arm(engine.TimerRead, 0)
}

// abandon gives up a connection whose exchange cannot be finished on it: it must not
// be used again, and a request that was cut short must not look whole.
func (u *upConn) abandon() {
	if u.state == upEnded {
		return
	}
	u.state = upEnded
	u.detach()
	u.l.sh.Abort(u.id)
}

// close ends an idle or finished connection in good order. Nothing is owed to the
// peer, so nobody waits for its FIN.
func (u *upConn) close() {
	if u.state == upEnded {
		return
	}
	u.state = upEnded
	u.detach()
	u.l.sh.Close(u.id, 0)
}

// release gives the connection back after a whole response, and pools it if it is
// clean. rest is what came behind the response: nobody asked for that. Neither is there to be
// anything behind a read that ended exactly with it: the next request may go out within this
// very call, and would have that for its answer.
func (u *upConn) release(rest []byte) {
	reqDone := u.x.reqDone
	clean := u.keepAlive && reqDone && len(rest) == 0 && !u.finished && !u.l.sh.Unread(u.id) || u.l.cfg.Faults.ReuseDirty && !u.finished
	u.detach()
	if !clean {
		if reqDone {
			u.close()
		} else {
			u.abandon()
		}
		return
	}
	u.resume(pausePressure)
	if u.in != nil {
		u.l.putBuffer(u.in)
		u.in = nil
	}
	if !u.offer() {
		u.close()
	}
}

// pooledMargin is how long before the end of the time that the upstream announced a
// pooled connection is no longer used.
const pooledMargin = time.Second

func (u *upConn) received(b []byte) {
	switch u.state {
	case upBusy:
		u.consume(b)
	case upPooled:
		// An answer that nobody asked for: whatever comes next on this connection would
		// be taken for the answer to somebody else's request.
		u.unpool()
		u.l.stats.poisoned.Add(1)
		u.close()
	case upConnecting, upEnded:
	}
}

func (u *upConn) eof() {
	u.finished = true
	switch u.state {
	case upPooled:
		u.unpool()
		u.close()
	case upBusy:
		u.ended(false)
	case upConnecting, upEnded:
	}
}

// ended: no byte of the response will come any more. A connection that broke ends no
// body, not even one that lasts until the close: only FIN says that it was all.
func (u *upConn) ended(broke bool) {
	x := u.x
	if u.inBody {
		if !broke && u.body.EOF() == nil {
			u.finishResponse(nil)
			return
		}
		u.abandon()
		u.l.stats.truncated.Add(1)
		x.c.drop(errTruncated)
		return
	}
	u.l.stats.upstreamClosed.Add(1)
	reused, silent, ep := u.reused, !u.answered && len(u.in) == 0, u.ep
	if !reused { // the end of a pooled one may only have crossed with the request
		u.fault()
	}
	u.abandon()
	if silent && x.mayRetry(ep) {
		x.resent = true
		x.connect(ep)
		return
	}
	x.failRequest(response{status: 502, reason: "upstream_closed", text: "the upstream closed the connection before it answered", fields: retryAfter}, errTruncated)
}

// mayRetry: the request goes out again only if that cannot execute it twice (RFC 9110
// section 9.2.2), if nothing of it is lost meanwhile, and if the cluster's budget has room;
// and only once: what ends two connections is likely to end a third.
func (x *exchange) mayRetry(ep *upstream.Endpoint) bool {
	if x.resent || x.bodyBegun || !x.reqDone && x.hasBody {
		return false
	}
	if x.l.cfg.Faults.RetryPOST {
		return true
	}
	return x.method.idempotent() && ep.Cluster().MayRetry(x.l.now())
}

func (u *upConn) sent() {
	u.flushed()
	if u.x != nil {
		u.x.c.takeBody()
	}
}

func (u *upConn) fired(t engine.Timer) {
	switch t {
	case engine.TimerState:
		u.secured(errHandshakeTimeout)
		if u.state == upPooled {
			u.unpool()
			u.close()
		}
	case engine.TimerRead:
		if u.state != upBusy {
			return
		}
		if u.paused&pausePressure != 0 || u.x.c.queued() > 0 { // the client is what stalls; its own timer bounds that
			u.x.c.watchStall()
			u.arm(engine.TimerRead, u.ep.Cluster().Config().StreamIdle)
			return
		}
		x := u.x
		u.abandon()
		x.c.drop(errStreamIdle)
	case engine.TimerWrite:
		if u.state == upBusy && u.stalled(1) {
			x := u.x
			u.abandon()
			x.failRequest(response{status: 504, reason: "upstream_stalled", text: "the upstream does not take the request"}, errTruncated)
		}
	}
}

func (u *upConn) closed(end engine.End) {
	u.l.upstreamEnded()
	defer u.slot.free(u.l)
	switch u.state {
	case upPooled:
		u.unpool()
	case upBusy:
		u.finished = true
		u.ended(end.Err != nil)
	case upConnecting:
		if u.tls.runs {
			insecure(u.ep, end.Err)
		}
		u.unconnected()
	case upEnded:
	}
	u.state = upEnded
	if u.in != nil {
		u.l.putBuffer(u.in)
		u.in = nil
	}
}

func (u *upConn) evict(drain.Cause) {}
