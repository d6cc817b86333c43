package proxy

import (
	"slices"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// Answers that we make ourselves, and what becomes of the request that they answer.

// response is an answer that we make ourselves. reason is from a closed set.
type response struct {
	status int
	reason string
	text   string
	fields []h1.Header
	body   []byte // instead of the text; the fields say what it is
	close  bool   // an HTTP/1.1 connection ends with it
	leave  bool   // so does any other: the client needs a new one
}

// reply ends the exchange with a response of our own. What x was may be another exchange when it
// returns.
func (x *exchange) reply(r response) {
	x.status, x.reason, x.headSent = r.status, r.reason, true
	if x.setCookie != "" {
		r.fields = append(slices.Clip(r.fields), h1.Header{Name: "Set-Cookie", Value: x.setCookie})
	}
	x.c.respondWith(r)
	if x.up != nil {
		x.up.abandon()
	}
	x.c.over()
}

func (x *exchange) replyClose(r response) {
	r.close = true
	x.reply(r)
}

// replyLate is a reply that no byte of the client brought about: what waits behind the exchange
// goes on.
func (x *exchange) replyLate(r response) {
	c := x.c
	x.reply(r)
	c.proceed()
}

// maxDiscard is the largest request body that is read and dropped, so that a refused
// request does not cost its connection.
const maxDiscard = 64 << 10

// badRequest answers a head that was refused: nothing is known about where the next
// message starts, so the connection ends.
func (c *httpConn) badRequest(err *h1.Error) {
	x := c.x
	x.beginRecord()
	c.l.stats.badRequests.Add(1)
	x.id.choose(c.l, false)
	x.replyClose(response{status: err.Status, reason: err.Reason, text: err.Detail})
}

// respondWith implements requester.
func (c *httpConn) respondWith(r response) {
	x, l := c.x, c.l
	discard := !x.reqDone && !x.expect && !x.chunked && (!x.moving || l.cfg.Faults.TrustBrokenMove) && x.body.Remaining() <= maxDiscard
	x.close = r.close || !x.clientStay || c.goodbye() || !x.reqDone && !discard
	x.discard = discard && !x.close
	l.out = h1.AppendError(l.out[:0], h1.ErrorResponse{
		Status: r.status, Reason: r.reason, Text: r.text, Fields: r.fields, Body: r.body, Date: l.date.at(l.now()),
		RequestID: x.id.bytes(), Close: x.close, Head: x.isHEAD, KeepAlive: x.version == http10 && !x.close,
	})
	x.bytesOut += int64(len(l.out))
	c.sendOut(l.out)
}

func (c *httpConn) discardBody(b []byte) int {
	_, n, err := c.x.body.Next(b)
	if err != nil {
		c.decide(drain.Errored)
		c.flushThenShut()
		return 0
	}
	if c.x.body.Done() {
		c.x.reqDone = true
		c.backToIdle()
	}
	return n
}

// over implements requester: it decides what becomes of the connection.
func (c *httpConn) over() {
	x := c.x
	x.endAccount()
	x.close = x.close || x.leaves && len(c.in) == 0
	switch {
	case x.discard:
		c.state = discarding
		c.arm(engine.TimerState, c.l.cfg.HeaderTimeout)
	case x.close || !x.reqDone:
		c.decide(drain.Completed)
		c.undelivered = true
		c.flushThenShut()
	default:
		c.backToIdle()
	}
}

// backToIdle waits for the next request. A response that has not left in full keeps
// the connection active in the account.
func (c *httpConn) backToIdle() {
	c.state = awaitHead
	c.undelivered = true // until then the exchange is kept: a cut names it
	if c.l.sh.Queued(c.id) == 0 {
		c.delivered()
	}
	c.arm(engine.TimerState, c.l.cfg.IdleTimeout)
	if c.l.cfg.Faults.DropHeld {
		c.in = c.in[:0]
	}
	c.proceed()
}

// goodbye reports whether this response must tell the client to leave, and takes
// note that it does.
func (c *httpConn) goodbye() bool {
	if c.handle == nil || !c.handle.Goodbye() || c.l.cfg.Faults.IgnoreGoodbye {
		return false
	}
	// Whoever pipelines has sent the next request already: it is served first, and told.
	if c.x.reqDone && (c.pumping && c.behind || !c.pumping && len(c.in) > 0) {
		return false
	}
	c.handle.Told()
	return true
}
