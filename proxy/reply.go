package proxy

import (
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
	close  bool
}

// maxDiscard is the largest request body that is read and dropped, so that a refused
// request does not cost its connection.
const maxDiscard = 64 << 10

// badRequest answers a head that was refused: nothing is known about where the next
// message starts, so the connection ends.
func (c *httpConn) badRequest(err *h1.Error) {
	c.beginRecord()
	c.l.stats.badRequests.Add(1)
	c.x.id.choose(c.l, false)
	c.replyClose(response{status: err.Status, reason: err.Reason, text: err.Detail})
}

func (c *httpConn) replyClose(r response) {
	r.close = true
	c.reply(r)
}

// reply ends the exchange with a response of our own.
func (c *httpConn) reply(r response) {
	x := c.x
	x.status, x.reason, x.headSent = r.status, r.reason, true
	discard := !x.reqDone && !x.expect && !x.chunked && (!x.moving || c.l.cfg.Faults.TrustBrokenMove) && x.body.Remaining() <= maxDiscard
	x.close = r.close || !x.clientStay || c.goodbye() || !x.reqDone && !discard
	l := c.l
	l.out = h1.AppendError(l.out[:0], h1.ErrorResponse{
		Status: r.status, Reason: r.reason, Text: r.text, Fields: r.fields, Date: l.date.at(l.now()),
		RequestID: x.id.bytes(), Close: x.close, Head: x.isHEAD, KeepAlive: x.minor == 0 && !x.close,
	})
	x.bytesOut += int64(len(l.out))
	c.sendOut(l.out)
	if x.up != nil {
		x.up.abandon()
	}
	if discard && !x.close && !x.reqDone {
		c.endAccount()
		c.state = discarding
		c.arm(engine.TimerState, l.cfg.HeaderTimeout)
		return
	}
	c.endExchange()
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
