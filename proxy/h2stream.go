package proxy

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Stream is one stream of a client's HTTP/2 connection: the requester of one exchange. It ends
// with gone.
type h2Stream struct {
	c *h2Conn
	s *h2.Stream // nil: nothing can be sent on it any more
	x *exchange

	in       []byte     // of the body, while the upstream does not take it; no more than the window lets come
	trailers []h1.Field // of the request
	inEnd    bool       // all of the request came
	held     bool       // by the upstream
	feeding  bool       // feed is on the stack
	headSent bool
	grpc     bool // the request is a call
	ended    bool // our end is queued

	tunnel *tunnelStream // what it has become, behind its exchange; nil: it is one

	due     [numStreamTimers]time.Time
	written int64 // bytes of the response, ever
	mark    int64 // how many had been taken when the window of the stall timer began
}

func (l *loop) newStream() *h2Stream {
	n := len(l.streams)
	if n == 0 {
		return &h2Stream{}
	}
	st := l.streams[n-1]
	l.streams = l.streams[:n-1]
	return st
}

// gone: the stream is over, and its connection goes on.
func (st *h2Stream) gone() {
	c := st.c
	if c.handle != nil && c.core.Streams() > 0 && !c.counted {
		c.handle.Another()
	}
	st.release()
	if c.mixed && !c.counted { // a receipt names what it was when it ended
		c.retime()
	}
	c.dirty()
}

// release lets go of everything.
func (st *h2Stream) release() {
	l, x, c := st.c.l, st.x, st.c
	if st.s != nil {
		st.s.Owner = nil
		st.s = nil
	}
	if x.running() {
		gone := l.attempt(func() {
			l.trip(c.id)
			x.clientGone()
		})
		if !gone { // the core does not know this stream any more: nobody else would let go of it
			x.wreck()
			c.abort()
		}
	}
	if st.tunnel != nil {
		st.tunnel.part(errStreamBroke)
	}
	if st.in != nil {
		l.putBuffer(st.in)
	}
	l.freeExchange(x)
	if c.current == st {
		c.current = nil
	}
	*st = h2Stream{trailers: st.trailers[:0]}
	if len(l.streams) < maxFree {
		l.streams = append(l.streams, st)
	}
}

// body takes a piece of the request.
func (st *h2Stream) body(b []byte, end bool) {
	st.inEnd = st.inEnd || end
	if st.tunnel != nil {
		st.tunnel.data(b, end)
		return
	}
	if st.c.l.cfg.Faults.GiveWindowEarly {
		st.c.core.Consumed(st.s, len(b))
	}
	x := st.x
	if x.phase != forwarding || !x.takesBody() || st.held || len(st.in) > 0 || st.feeding || st.unended() {
		if len(b) > 0 {
			if st.in == nil {
				st.in = st.c.l.getBuffer()
			}
			st.in = append(st.in, b...)
		}
		if end {
			st.proceed()
		}
		return
	}
	st.pass(b)
}

// unended: all came that Content-Length announced, and not the end. One byte more would make the request malformed (RFC 9113
// section 8.1.1), so the last piece waits for it: an upstream of HTTP/1.1 would take the request for whole.
func (st *h2Stream) unended() bool { return !st.inEnd && st.s != nil && st.s.Unended() }

// pass hands a piece to the upstream and lets the client send as much again.
func (st *h2Stream) pass(b []byte) {
	c, x := st.c, st.x
	c.l.trip(c.id)
	if len(b) > 0 {
		x.sendBody(b)
		if !c.l.cfg.Faults.GiveWindowEarly {
			c.core.Consumed(st.s, len(b))
		}
	}
	if st.inEnd {
		x.endBody(st.trailers)
		return
	}
	x.moreBody()
}

// proceed implements requester: what of the body waits goes on.
func (st *h2Stream) proceed() {
	x := st.x
	if x == nil || x.phase != forwarding || !x.takesBody() || st.held || st.feeding || len(st.in) == 0 && !st.inEnd || st.unended() {
		return
	}
	st.feeding = true
	b := st.in
	st.in = nil
	st.pass(b)
	st.feeding = false
	st.c.l.putBuffer(b)
	st.c.dirty()
}

func (st *h2Stream) holdBody() { st.held = true }

func (st *h2Stream) takeBody() {
	st.held = false
	st.proceed()
}

func (st *h2Stream) bodyHeld() bool { return st.held }

func (st *h2Stream) queued() int {
	if st.s == nil {
		return 0
	}
	return st.s.Queued()
}

func (st *h2Stream) full() bool              { return st.queued() > highWater }
func (st *h2Stream) receiver() (*half, bool) { return nil, false }
func (st *h2Stream) flush()                  { st.c.dirty() }

// interim passes on a 1xx.
func (st *h2Stream) interim(r *h1.Response) {
	if st.s != nil {
		st.s.Interim(st.c.l.h2Fields(r, false))
	}
}

// respond sends the head of a response.
func (st *h2Stream) respond(r *h1.Response) {
	st.c.mayLeave()
	st.head(r, r.Body == h1.BodyNone, false)
}

func (st *h2Stream) head(r *h1.Response, end, own bool) {
	st.headSent, st.ended = true, end
	if st.s != nil {
		st.s.Head(st.c.l.h2Fields(r, own), end)
	}
}

func (st *h2Stream) data(b []byte) {
	if st.s != nil {
		st.written += int64(len(b))
		st.s.Write(b, false)
		st.watchStall()
	}
}

func (st *h2Stream) end(trailers []h1.Field) {
	if st.ended || st.s == nil {
		return
	}
	st.ended = true
	l := st.c.l
	if fields := l.cleanTrailers(trailers); len(fields) > 0 {
		st.s.Trailers(l.h2Trailers(fields))
		return
	}
	st.s.Write(nil, true)
}

// respondWith makes the answer that an HTTP/1.1 client would get, and sends that.
func (st *h2Stream) respondWith(r response) {
	x, l, c := st.x, st.c.l, st.c
	c.mayLeave()
	if r.leave {
		c.depart()
	}
	c.dirty()
	if st.grpc {
		st.respondToCall(&r)
		return
	}
	l.out = h1.AppendError(l.out[:0], h1.ErrorResponse{
		Status: r.status, Reason: r.reason, Text: r.text, Fields: r.fields, Body: r.body, Date: l.date.at(l.now()),
		RequestID: x.id.bytes(), Head: x.isHEAD,
	})
	n, err := l.resp.Parse(l.out, x.isHEAD, ownLimits)
	if err != nil || n == 0 {
		panic("BUG: an answer of our own does not parse")
	}
	x.bytesOut += int64(len(l.out))
	body := l.out[n:]
	st.head(&l.resp, len(body) == 0, true)
	if len(body) > 0 {
		st.data(body)
		st.end(nil)
	}
}

// over implements requester. The exchange is kept until its response has left.
func (st *h2Stream) over() {
	st.x.endAccount()
	if st.s == nil {
		return
	}
	if !st.inEnd {
		st.s.Discard()
	}
	st.c.dirty()
}

// drop ends the stream by a reset: what was sent of the response looks as incomplete as it is.
func (st *h2Stream) drop(err error) {
	st.x.fail(err)
	if st.s != nil {
		code := h2.InternalError
		if st.x.barredFor != goesOn || errors.Is(err, errStalledClient) || errors.Is(err, errClientTruncated) || errors.Is(err, errGRPCTimeout) {
			code = h2.Cancel
		}
		s := st.s
		st.s, s.Owner = nil, nil
		if st.c.l.cfg.Faults.EndReset && st.headSent && !st.ended && st.tunnel == nil {
			s.Write(nil, true)
		} else {
			s.Reset(code)
		}
	}
	st.gone()
}

// cutShort: the client closed its half in the middle of the request.
func (st *h2Stream) cutShort() {
	if st.x.running() || st.tunnel != nil {
		st.drop(errClientTruncated)
	}
}

// malformed answers a head that HTTP/2 allows and we do not.
func (st *h2Stream) malformed(err *h1.Error) {
	x := st.x
	x.method = methodOf(st.c.l.req.Method)
	x.isHEAD = x.method == methodHEAD
	x.beginRecord()
	st.c.l.stats.badRequests.Add(1)
	x.id.choose(st.c.l, false)
	x.reply(response{status: err.Status, reason: err.Reason, text: err.Detail})
}

func (st *h2Stream) contained() {
	x := st.x
	if x == nil {
		return
	}
	if st.tunnel != nil {
		st.tunnel.end.contained()
		return
	}
	ok := st.c.l.attempt(func() {
		if x.running() && !x.headSent {
			x.internalError()
		} else {
			st.drop(errPanicked)
		}
	})
	if !ok {
		x.wreck()
		st.c.abort()
	}
}
