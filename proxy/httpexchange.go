package proxy

import (
	"bytes"
	"errors"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// What an exchange looks like on an HTTP/1.1 connection: httpConn as its requester.

// startExchange begins the account of one request.
func (c *httpConn) startExchange() {
	if c.undelivered && c.l.sh.Queued(c.id) > 0 {
		c.noteOwed(false)
	}
	c.delivered()     // the one before ends here at the latest
	c.endedExchange() // a malformed head may come right behind the one that has just ended
	c.x = c.l.newExchange()
	c.seq++
	c.state = exchanging
	c.x.start(&c.downstream, c, c.seq)
}

// endedExchange lets go of an exchange that is over: an idle connection holds none.
func (c *httpConn) endedExchange() {
	if x := c.x; x != &c.l.none {
		c.x = &c.l.none
		c.l.freeExchange(x)
	}
}

// begin walks the exchange whose head was just parsed into l.req.
func (c *httpConn) begin() {
	c.startExchange()
	if c.l.req.Minor == 0 {
		c.x.version = http10
	}
	c.x.begin()
}

// readBody passes on request body bytes from the front of b and returns how many.
func (c *httpConn) readBody(b []byte) int {
	x := c.x
	if x.phase != forwarding || !x.takesBody() {
		return 0
	}
	c.l.trip(c.id)
	data, n, err := x.body.Next(b)
	if err != nil {
		x.up.abandon()
		if x.headSent {
			c.drop(errBadChunk)
		} else {
			e := err.(*h1.Error)
			x.replyClose(response{status: e.Status, reason: e.Reason, text: e.Detail})
		}
		return 0
	}
	x.sendBody(data)
	switch {
	case x.body.Done():
		x.endBody(x.body.Trailers())
	case n == len(b) && c.moveBody():
		c.arm(engine.TimerRead, c.l.cfg.BodyTimeout)
	default:
		x.moreBody()
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

func (c *httpConn) holdBody()               { c.pause(pausePressure) }
func (c *httpConn) takeBody()               { c.resume(pausePressure) }
func (c *httpConn) bodyHeld() bool          { return c.paused&pausePressure != 0 }
func (c *httpConn) queued() int             { return c.l.sh.Queued(c.id) }
func (c *httpConn) receiver() (*half, bool) { return &c.half, !c.x.respChunk && c.x.events == nil }

// interim passes on a 1xx. HTTP/1.0 has none (RFC 9110 section 15.2).
func (c *httpConn) interim(r *h1.Response) {
	if c.x.version == http10 {
		return
	}
	l := c.l
	l.out = h1.AppendStatusLine(l.out, r.Status, r.Reason)
	l.out = appendFields(l.out, r.Fields, true)
	l.out = h1.AppendEnd(l.out)
}

// respond writes the response head to l.out.
func (c *httpConn) respond(r *h1.Response) {
	x, l := c.x, c.l
	x.close = !x.clientStay || !x.reqDone || c.goodbye()
	switch r.Body {
	case h1.BodyChunked, h1.BodyUntilClose:
		x.respChunk = x.version == http11
		x.untilClose = !x.respChunk
		x.close = x.close || x.untilClose
	case h1.BodyNone, h1.BodyLength:
	}
	l.out = h1.AppendStatusLine(l.out, r.Status, r.Reason)
	l.out = appendFields(l.out, r.Fields, r.Status == 204)
	if !hasDate(r.Fields) {
		l.out = append(l.out, l.date.at(l.now())...)
	}
	switch {
	case x.respChunk:
		l.out = append(l.out, "Transfer-Encoding: chunked\r\n"...)
	case r.Body == h1.BodyNone && r.Length < 0 && !x.isHEAD && r.Status != 204 && r.Status != 304: // it ended with its head on HTTP/2
		l.out = append(l.out, "Content-Length: 0\r\n"...)
	}
	switch {
	case x.close:
		l.out = append(l.out, "Connection: close\r\n"...)
	case x.version == http10:
		l.out = append(l.out, "Connection: keep-alive\r\n"...)
	}
	l.out = h1.AppendEnd(l.out)
}

// appendFields copies the end-to-end fields. Content-Length stays, since a body is
// passed on with the framing it came with, except where the RFC forbids it (1xx, 204).
func appendFields(dst []byte, fields []h1.Field, dropLength bool) []byte {
	for i := range fields {
		f := &fields[i]
		if f.Hop || dropLength && f.ID == h1.ContentLength || ours(f.Name) {
			continue
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// uncopied is the size of a piece from which on it is not copied behind the head.
const uncopied = 4 << 10

// data implements requester.
func (c *httpConn) data(b []byte) {
	l := c.l
	switch {
	case c.x.respChunk:
		l.out = h1.AppendChunk(l.out, b)
	case len(l.out) == 0:
		c.sendOut(b)
	case len(b) >= uncopied:
		c.flush() // the driver sends both as one piece
		c.sendOut(b)
	default:
		l.out = append(l.out, b...)
	}
}

// end implements requester.
func (c *httpConn) end(trailers []h1.Field) {
	if c.x.respChunk {
		c.l.out = h1.AppendLastChunk(c.l.out, c.l.cleanTrailers(trailers))
	}
}

// flush sends what was gathered in l.out.
func (c *httpConn) flush() {
	c.sendOut(c.l.out)
	c.l.out = c.l.out[:0]
}

// drop implements requester.
func (c *httpConn) drop(err error) {
	x := c.x
	c.decide(drain.Errored)
	begun := x.fail(err)
	if c.l.cfg.Faults.HideTruncation && begun && x.respChunk {
		c.send(h1.AppendLastChunk(nil, nil))
		c.flushThenShut()
		return
	}
	c.barred = c.barred || x.barredFor != goesOn
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

// cut ends what has not finished. Whatever was decided had not come to pass.
func (c *httpConn) cut(cause drain.Cause) {
	if why := c.x.doomed(); why != goesOn { // whether there is a drain or not
		c.x.barredFor = why
		c.drop(why)
		c.shut()
		return
	}
	c.decided, c.outcome = true, drain.Cut
	switch {
	case c.x.running() && !c.x.headSent:
		c.x.replyClose(cutResponse(cause))
		c.shut() // behind a response that the client does not read, it would never leave
	case c.x.running():
		c.drop(whyCut(cause))
	default:
		// A partial head, a body that is being dropped, or a response that leaves slowly.
		c.shut()
	}
}

// upgraded: the upstream switched to what was asked for. This connection and what answered become the two ends of a tunnel.
func (c *httpConn) upgraded(r *h1.Response, rest []byte) {
	x, l := c.x, c.l
	l.out = h1.AppendStatusLine(l.out, r.Status, r.Reason)
	l.out = appendFields(l.out, r.Fields, true)
	l.out = append(l.out, "Connection: upgrade\r\nUpgrade: "...)
	l.out = append(l.out, r.Upgrade...)
	l.out = h1.AppendEnd(append(l.out, "\r\n"...))
	c.sendOut(l.out)
	early := bytes.Clone(c.in) // what the client sent behind its request, before it knew
	late := bytes.Clone(rest)
	x.endAccount()
	if l.cfg.Faults.DropEarly {
		early, late = nil, nil
	}
	p := x.startTunnel(r.Upgrade, early, late)
	if c.finished {
		p.ends[tunnel.Downstream].eof()
	}
}

// become implements requester. This object is nobody's role any more.
func (c *httpConn) become(e *tunnelEnd) {
	e.takeConn(c.id, c.paused != 0)
	e.p.ownedBy(c.handle)
	c.handle.Owes([]string{e.p.request})
	c.state = closing
	c.endedExchange()
}
