package proxy

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// How a stream begins to be one, and how it ends where it may not go on: as its client can tell an end from a loss.

// boundaryWait is how long a stream of events that is to end may take to the end of the event that is under way.
const boundaryWait = 500 * time.Millisecond

// endless reports whether nobody has declared how long a response is.
func endless(r *h1.Response) bool { return r.Body == h1.BodyChunked || r.Body == h1.BodyUntilClose }

// barredCall is asked before a request goes out. A call is a stream from here on.
func (x *exchange) barredCall() bool {
	st, ok := x.c.(*h2Stream)
	return ok && st.grpc && x.barred(false)
}

// barred makes an exchange an open stream. Much may have changed since it was allowed: if it may not go on it is
// answered, and over, and the caller lets go of it. brief: it may be one that ends by itself in a moment, and is given that.
func (x *exchange) barred(brief bool) bool {
	l, o := x.l, &x.live
	if o.at[everyStream] != 0 { // a call is one already
		return false
	}
	*o = liveStream{x: x, identity: x.identity, snap: x.snap, began: l.now(), maxAge: x.route.maxStreamAge}
	if why := l.bars(o); why != goesOn && !(brief && o.spare(why, l.now())) {
		x.endFor(why)
		return true
	}
	l.join(o)
	return false
}

// barredTunnel is barred for an exchange that is about to become a tunnel: that has no head any more.
func (x *exchange) barredTunnel() bool {
	if x.barred(false) {
		return true
	}
	x.live.asked = x.asked().keep()
	return false
}

// endFor ends an exchange that may not go on.
func (x *exchange) endFor(why streamEnd) {
	l := x.l
	l.trip(x.d.id)
	l.stats.ended[why].Add(1)
	x.barredFor = why
	st, _ := x.c.(*h2Stream)
	switch {
	case !x.headSent:
		if x.up != nil {
			x.c.flush() // interim responses
			x.up.abandon()
		}
		x.replyLate(x.denial(why))
	case st != nil && st.grpc:
		st.endCall(why)
	case x.events == nil || !x.reqDone:
		x.c.drop(why)
	case x.events.f.Boundary():
		x.reason = why.String()
		x.endStream()
	default:
		x.reason = why.String()
		x.c.arm(engine.TimerState, boundaryWait)
	}
}

// endEvent is shown each piece of a stream of events that is to end, and returns what is to be sent of it and whether the
// stream ends with that.
func (s *eventStream) endEvent(data []byte) (out []byte, over bool) {
	n, event := s.f.Next(data)
	return data[:n], event || s.f.Boundary()
}

// endCall ends a call whose answer has begun, by trailers behind what was passed on.
func (st *h2Stream) endCall(why streamEnd) {
	x, l := st.x, st.c.l
	x.reason = why.String()
	x.up.abandon()
	if st.s != nil && !st.ended {
		st.ended = true
		r := x.denial(why)
		l.fields = append(l.fields[:0],
			h2.Field{Name: []byte("grpc-status"), Value: strconv.AppendInt(nil, int64(grpcCode(&r)), 10)},
			h2.Field{Name: []byte("grpc-message"), Value: []byte(grpcMessage(why.text()))})
		st.s.Trailers(l.fields)
	}
	st.over()
}
