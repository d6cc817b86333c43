package proxy

import (
	"bytes"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// The response's way back to the client.

// maxInterim bounds the 1xx responses of one exchange.
const maxInterim = 16

// consume takes what came from the upstream: heads (1xx among them), then the body.
// Everything that one call produces leaves with one Send.
func (u *upConn) consume(b []byte) {
	l, c := u.l, u.c
	if len(u.in) > 0 {
		u.in = append(u.in, b...)
		b = u.in
	}
	l.out = l.out[:0]
	for !u.inBody {
		if u.partial && !u.scan.Next(b, l.cfg.Limits) {
			u.hold(b)
			return
		}
		n, err := l.resp.Parse(b, c.x.isHEAD, l.cfg.Limits)
		if err != nil {
			u.badResponse(err.(*h1.Error))
			return
		}
		if n == 0 {
			if !u.partial {
				u.partial = true
				u.scan.Reset()
				u.scan.Next(b, l.cfg.Limits)
			}
			u.hold(b)
			return
		}
		u.partial = false
		b = b[n:]
		if l.resp.Status < 200 {
			if !u.interim(&l.resp, b) {
				return
			}
			u.answered = true
			continue
		}
		u.answered, u.inBody = true, true
		u.keepAlive, u.announced = l.resp.KeepAlive, l.resp.KeepAliveTimeout
		u.body.Reset(l.resp.Body, l.resp.Length)
		if l.resp.Status >= 500 && u.ep.Cluster().Config().Outlier.ServerErrors {
			u.fault()
		} else if !l.cfg.Faults.StayEjected {
			u.ep.Answered(l.now())
		}
		c.respond(&l.resp)
	}
	u.consumeBody(b)
}

// uncopied is the size of a piece from which on it is not copied behind the head.
const uncopied = 4 << 10

// hold keeps the beginning of a head; b may alias u.in. Bounded by Limits.Head and
// one read: the parser refuses what is longer.
func (u *upConn) hold(b []byte) {
	if len(b) > 0 {
		u.answered = true
	}
	if u.in == nil {
		u.in = u.l.getBuffer()
	}
	u.in = append(u.in[:0], b...)
	u.c.sendOut(u.l.out) // interim responses before it
}

func (u *upConn) consumeBody(b []byte) {
	l, c := u.l, u.c
	x := c.x
	for len(b) > 0 && !u.body.Done() {
		data, n, err := u.body.Next(b)
		if err != nil {
			c.sendOut(l.out)
			u.abandon()
			l.stats.truncated.Add(1)
			c.drop(errTruncated)
			return
		}
		b = b[n:]
		if x.events != nil {
			var over bool
			if data, over = c.follow(data); over {
				u.endStream(data)
				return
			}
		}
		x.bytesOut += int64(len(data))
		switch {
		case len(data) == 0:
		case x.respChunk:
			l.out = h1.AppendChunk(l.out, data)
		case len(l.out) == 0:
			c.sendOut(data)
		case len(data) >= uncopied:
			c.sendOut(l.out) // the driver sends both as one piece
			l.out = l.out[:0]
			c.sendOut(data)
		default:
			l.out = append(l.out, data...)
		}
	}
	done := u.body.Done()
	if done && x.respChunk {
		l.out = h1.AppendLastChunk(l.out, l.cleanTrailers(u.body.Trailers()))
	}
	c.sendOut(l.out)
	l.out = l.out[:0]
	u.in = u.in[:0]
	if done {
		u.endResponse(b)
		return
	}
	u.arm(engine.TimerRead, u.ep.Cluster().Config().StreamIdle)
	if !u.moveBody() && c.full() {
		u.pause(pausePressure)
	}
}

// finishResponse ends a response whose body lasted until the upstream's FIN.
func (u *upConn) finishResponse(rest []byte) {
	if u.c.x.respChunk {
		u.l.out = h1.AppendLastChunk(u.l.out[:0], u.l.cleanTrailers(u.body.Trailers()))
		u.c.sendOut(u.l.out)
	}
	u.endResponse(rest)
}

func (u *upConn) endResponse(rest []byte) {
	c := u.c
	u.release(rest)
	u.l.trip(c.id)
	c.endExchange()
}

// badResponse: what the upstream sent is no response. Neither connection can be trusted with another exchange.
func (u *upConn) badResponse(err *h1.Error) {
	c := u.c
	c.sendOut(u.l.out)
	u.l.stats.badResponses.Add(1)
	u.fault()
	u.abandon()
	c.reply(response{status: 502, reason: "bad_response", text: "the upstream's response is malformed: " + err.Detail})
	c.pump()
}

// interim passes on a 1xx; false: the exchange is over or became a tunnel. rest is
// what came behind it.
func (u *upConn) interim(r *h1.Response, rest []byte) bool {
	c := u.c
	x := c.x
	x.interim++
	switch {
	case r.Status == 101 && mayUpgrade(r.Upgrade) && x.reqDone &&
		(x.upgrade && answersUpgrade(x.head, r.Upgrade) || u.l.cfg.Faults.SwitchUnasked):
		u.ep.Answered(u.l.now())
		c.upgraded(r, rest)
		return false
	case r.Status == 101, x.interim > maxInterim:
		u.l.stats.badResponses.Add(1)
		u.abandon()
		c.reply(response{status: 502, reason: "bad_response", text: errUnexpected101.Error()})
		c.pump()
		return false
	case x.minor == 0:
		return true // HTTP/1.0 has no 1xx (RFC 9110 section 15.2)
	}
	u.l.out = h1.AppendStatusLine(u.l.out, r.Status, r.Reason)
	u.l.out = appendFields(u.l.out, r.Fields, true)
	u.l.out = h1.AppendEnd(u.l.out)
	return true
}

// respond writes the response head to l.out. From here on the exchange has an answer.
func (c *httpConn) respond(r *h1.Response) {
	x, l := c.x, c.l
	l.trip(c.id)
	x.status, x.headSent = r.Status, true
	c.arm(engine.TimerState, 0)
	x.close = !x.clientStay || !x.reqDone || c.goodbye()
	switch r.Body {
	case h1.BodyChunked, h1.BodyUntilClose:
		x.respChunk = x.minor == 1
		x.untilClose = !x.respChunk
		x.close = x.close || x.untilClose
	case h1.BodyNone, h1.BodyLength:
	}
	c.streams(r)
	l.out = h1.AppendStatusLine(l.out, r.Status, r.Reason)
	l.out = appendFields(l.out, r.Fields, r.Status == 204)
	if !hasDate(r.Fields) {
		l.out = append(l.out, l.date.at(l.now())...)
	}
	if x.respChunk {
		l.out = append(l.out, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case x.close:
		l.out = append(l.out, "Connection: close\r\n"...)
	case x.minor == 0:
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

// upgraded: the upstream answered 101 to a request that asked for it. Both
// connections become the two ends of a tunnel.
func (c *httpConn) upgraded(r *h1.Response, rest []byte) {
	x, l, u := c.x, c.l, c.x.up
	x.status, x.headSent = r.Status, true
	l.out = h1.AppendStatusLine(l.out, r.Status, r.Reason)
	l.out = appendFields(l.out, r.Fields, true)
	l.out = append(l.out, "Connection: upgrade\r\nUpgrade: "...)
	l.out = append(l.out, r.Upgrade...)
	l.out = h1.AppendEnd(append(l.out, "\r\n"...))
	c.sendOut(l.out)
	early := bytes.Clone(c.in) // what the client sent behind its request, before it knew
	late := bytes.Clone(rest)
	c.endAccount()
	if l.cfg.Faults.DropEarly {
		early, late = nil, nil
	}
	startTunnel(c, u, r.Upgrade, early, late)
}
