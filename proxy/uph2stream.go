package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// upStream is a stream of an upstream HTTP/2 connection: the responder of one exchange.
type upStream struct {
	u *upH2
	s *h2.Stream // nil: not open yet, or not any more
	x *exchange  // nil: detached

	connect  bool   // it was sent as CONNECT for a WebSocket
	answered bool   // some part of a response came: no retry
	inBody   bool   // the head of the final response came
	held     bool   // by the client, which takes too little
	last     []byte // of the body, while its length came and not its end; nil: nothing waits for that
	back     int    // bytes that were passed on and not given back to the window, because of that
	opened   time.Time
	readDue  time.Time // no byte of the response for too long

	written int64     // bytes of the request body, ever
	mark    int64     // how many had been taken when the time of sendDue began
	sendDue time.Time // no byte of the request was taken for too long
}

// join makes x wait for the connection, or opens its stream at once.
func (u *upH2) join(x *exchange) {
	st := &upStream{u: u, x: x}
	x.up = st
	u.ep.Active.Add(1)
	if len(u.waiting) == 0 && u.takes(x) {
		st.open()
		return
	}
	x.c.arm(engine.TimerState, 0) // what bounded the head; making a connection has a limit of its own
	u.waiting = append(u.waiting, st)
}

// open sends the head of the exchange.
func (st *upStream) open() {
	u, x := st.u, st.x
	if r := u.l.readSent(x); x.upgrade && asksWebSocket(r) && !st.mayConnect(r) {
		return
	}
	s, err := u.core.Open(u.l.requestFields(x, st.connect), x.reqDone && !x.chunked && !st.connect)
	if err != nil { // the peer left, or allows less, meanwhile
		st.detach()
		x.connect(nil)
		return
	}
	st.s, s.Owner, st.opened = s, st, u.l.now()
	u.ep.Requests.Add(1)
	u.idleDue = time.Time{}
	x.tries++
	u.dirty()
	x.upstreamReady()
}

// detach ends the association with the exchange. The client is read again: what is left of its request is
// dropped, and nobody else would resume it.
func (st *upStream) detach() {
	if st.last != nil {
		st.u.l.putBuffer(st.last)
		st.last = nil
	}
	if x := st.x; x != nil {
		st.x, x.up = nil, nil
		st.u.ep.Active.Add(-1)
		x.c.takeBody()
	}
}

// forget lets go of the stream of the core.
func (st *upStream) forget() {
	if st.s != nil {
		st.s.Owner = nil
		st.s = nil
	}
}

func (st *upStream) endpoint() *upstream.Endpoint { return st.u.ep }
func (st *upStream) connecting() bool             { return st.s == nil }
func (st *upStream) takesBody() bool              { return st.s != nil }
func (st *upStream) full() bool                   { return st.queued() > highWater }
func (st *upStream) watchStall()                  { st.u.watchStall() }
func (st *upStream) carries(x *exchange) bool     { return st.x == x }

func (st *upStream) queued() int {
	if st.s == nil {
		return 0
	}
	return st.s.Queued()
}

func (st *upStream) sendBody(data []byte) {
	st.written += int64(len(data))
	st.s.Write(data, false)
	st.watchSend()
	st.u.dirty()
}

func (st *upStream) endBody(trailers []h1.Field) {
	l := st.u.l
	if fields := l.cleanTrailers(trailers); len(fields) > 0 {
		st.s.Trailers(l.h2Trailers(fields))
	} else {
		st.s.Write(nil, true)
	}
	st.u.dirty()
}

// goOn gives the peer the window back that the client has made room for.
func (st *upStream) goOn() {
	st.held = false
	if st.s != nil && st.back > 0 {
		n := st.back
		st.back = 0
		st.u.core.Consumed(st.s, n)
		st.u.dirty()
	}
}

// fault counts against the endpoint: the exchange failed, and not by the client's doing.
func (st *upStream) fault() {
	u := st.u
	u.suspect = u.suspect || st.s != nil && u.heard.Before(st.opened)
	u.ep.Failures.Add(1)
	u.ep.Failed(u.l.now())
}

// abandon resets the stream. The connection goes on.
func (st *upStream) abandon() {
	u := st.u
	st.detach()
	if s := st.s; s != nil {
		st.forget()
		s.Reset(h2.Cancel)
	} else {
		u.unwait(st)
	}
	u.dirty()
}

// unwait takes out of the queue who waits no longer.
func (u *upH2) unwait(st *upStream) {
	for i := range u.waiting {
		if u.waiting[i] == st {
			u.waiting = append(u.waiting[:i:i], u.waiting[i+1:]...)
			return
		}
	}
}

func (st *upStream) wreck() {
	st.abandon()
}

// broken: the connection ended under the stream.
func (st *upStream) broken() {
	st.s = nil
	st.u.l.stats.upstreamClosed.Add(1)
	st.lost(false, "upstream_closed", "the upstream closed the connection before it answered")
}

// lost: no whole response will come. unprocessed: the upstream certainly did nothing with the request.
func (st *upStream) lost(unprocessed bool, reason, text string) {
	x, ep := st.x, st.u.ep
	unprocessed = unprocessed || x.l.cfg.Faults.ReplayProcessed
	inBody, silent := st.inBody, !st.answered
	if !unprocessed {
		st.fault()
	}
	st.detach()
	switch {
	case inBody:
		st.u.l.stats.truncated.Add(1)
		x.c.drop(errTruncated)
	case silent && (unprocessed && x.repeatable() || x.mayRetry(ep)):
		x.resent = true
		x.connect(ep)
	default:
		x.failRequest(response{status: 502, reason: reason, text: text, fields: retryAfter}, errTruncated)
	}
}

// repeatable reports whether the request can be sent again as it was: all of it is still here. It went out to
// nobody who did anything with it, so its method does not matter.
func (x *exchange) repeatable() bool { return !x.bodyBegun && x.tries < maxTries }

// respondH2 passes on the head of a response.
func (st *upStream) head(fields []h2.Field, end bool) {
	l, x := st.u.l, st.x
	l.out = l.out[:0]
	if err := l.composeResponse(fields, !end, x.isHEAD); err != nil {
		st.bad("the upstream's response is malformed: " + err.Detail)
		return
	}
	if st.connect && st.answeredConnect(&l.resp, end) {
		return
	}
	st.answered, st.inBody = true, true
	if l.resp.Status >= 500 && st.u.ep.Cluster().Config().Outlier.ServerErrors {
		st.fault()
	} else if !l.cfg.Faults.StayEjected {
		st.u.ep.Answered(l.now())
	}
	if x.respond(&l.resp) {
		return
	}
	if end {
		x.c.end(nil)
	}
	x.c.flush()
	if end {
		st.whole()
		return
	}
	st.watchSilence()
}

// watchSilence bounds the wait for the next byte of a body.
func (st *upStream) watchSilence() {
	st.readDue = st.u.l.now().Add(st.u.ep.Cluster().Config().StreamIdle)
	st.u.schedule(st.readDue)
}

func (st *upStream) data(b []byte, end bool) {
	l, x := st.u.l, st.x
	if !end && st.s.Unended() {
		if st.last == nil {
			st.last = l.getBuffer()
		}
		st.last = append(st.last, b...) // a frame comes in as many pieces as the reads have made of it
		st.watchSilence()
		return
	}
	l.out = l.out[:0]
	if st.relayLast() || x.relay(b) {
		return
	}
	if end {
		x.c.end(nil)
	}
	x.c.flush()
	if end {
		st.whole()
		return
	}
	st.watchSilence()
	if st.held = st.held || x.c.full(); st.held && !l.cfg.Faults.GiveWindowEarly {
		st.back += len(b)
		return
	}
	st.u.core.Consumed(st.s, len(b))
}

// relayLast passes on the piece that waited for the end of its response. Behind an announced length a client of HTTP/1.1 would take the
// response for whole, although it may still break (RFC 9113 section 8.1.1).
func (st *upStream) relayLast() (over bool) {
	if st.last == nil {
		return false
	}
	b := st.last
	st.last = nil
	over = st.x.relay(b)
	st.u.l.putBuffer(b)
	return over
}

func (st *upStream) trailers(fields []h1.Field) {
	x := st.x
	st.u.l.out = st.u.l.out[:0]
	if st.relayLast() {
		return
	}
	x.c.end(fields)
	x.c.flush()
	st.whole()
}

// whole ends the exchange with a whole response. A request that has not left in full is not wanted any more.
func (st *upStream) whole() {
	x, s := st.x, st.s
	left := x.reqDone && s.Queued() == 0
	st.detach()
	if !left {
		st.forget()
		s.Reset(h2.NoError)
	}
	st.u.dirty()
	st.u.l.trip(x.d.id)
	x.c.over()
}

// bad: what came is no response.
func (st *upStream) bad(text string) {
	x := st.x
	st.u.l.stats.badResponses.Add(1)
	st.fault()
	st.abandon()
	x.replyLate(response{status: 502, reason: "bad_response", text: text})
}
