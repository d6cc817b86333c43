package proxy

import (
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// The response's way back to the client.

// maxInterim bounds the 1xx responses of one exchange.
const maxInterim = 16

// consume takes what came from the upstream: heads (1xx among them), then the body.
// Everything that one call produces leaves with one Send.
func (u *upConn) consume(b []byte) {
	l, x := u.l, u.x
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
		n, err := l.resp.Parse(b, x.isHEAD, l.cfg.Limits)
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
		if x.extended() && l.resp.Status < 300 { // to the client a 2xx would be the WebSocket
			u.badResponse(errUnswitched)
			return
		}
		u.answered, u.inBody = true, true
		u.keepAlive, u.announced = l.resp.KeepAlive, l.resp.KeepAliveTimeout
		u.body.Reset(l.resp.Body, l.resp.Length)
		if l.resp.Status >= 500 && u.ep.Cluster().Config().Outlier.ServerErrors {
			u.fault()
		} else if !l.cfg.Faults.StayEjected {
			u.ep.Answered(l.now())
		}
		if x.respond(&l.resp) {
			return
		}
	}
	u.consumeBody(b)
}

// What an upstream of HTTP/1.1 may say to the handshake of a WebSocket that we made for a client of HTTP/2.
var (
	errUnswitched = &h1.Error{Status: 502, Reason: "bad_response", Detail: "it says yes to a WebSocket, and does not switch to it"}
	errUnproven   = &h1.Error{Status: 502, Reason: "bad_response", Detail: "its Sec-WebSocket-Accept does not answer our key"}
)

// respond passes on the head of a final response. From here on the exchange has an answer. over: it had to have another one.
func (x *exchange) respond(r *h1.Response) (over bool) {
	x.l.trip(x.d.id)
	x.streams(r)
	if endless(r) && x.barred(x.events == nil) {
		return true
	}
	x.status, x.headSent = r.Status, true
	x.c.arm(engine.TimerState, 0)
	x.guardCookies(r)
	x.c.respond(r)
	return false
}

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
	u.x.c.flush() // interim responses before it
}

func (u *upConn) consumeBody(b []byte) {
	l, x := u.l, u.x
	for len(b) > 0 && !u.body.Done() {
		data, n, err := u.body.Next(b)
		if err != nil {
			x.c.flush()
			u.abandon()
			l.stats.truncated.Add(1)
			x.c.drop(errTruncated)
			return
		}
		b = b[n:]
		if x.relay(data) {
			return
		}
	}
	done := u.body.Done()
	if done {
		x.c.end(u.body.Trailers())
	}
	x.c.flush()
	u.in = u.in[:0]
	if done {
		u.endResponse(b)
		return
	}
	u.arm(engine.TimerRead, u.ep.Cluster().Config().StreamIdle)
	if !u.moveBody() && x.c.full() {
		u.pause(pausePressure)
	}
}

// finishResponse ends a response whose body lasted until the upstream's FIN.
func (u *upConn) finishResponse(rest []byte) {
	u.l.out = u.l.out[:0]
	u.x.c.end(u.body.Trailers())
	u.x.c.flush()
	u.endResponse(rest)
}

func (u *upConn) endResponse(rest []byte) {
	x := u.x
	u.release(rest)
	u.l.trip(x.d.id)
	x.c.over()
}

// badResponse: what the upstream sent is no response. Neither connection can be trusted with another exchange.
func (u *upConn) badResponse(err *h1.Error) {
	x := u.x
	x.c.flush()
	u.l.stats.badResponses.Add(1)
	u.fault()
	u.abandon()
	x.replyLate(response{status: 502, reason: "bad_response", text: "the upstream's response is malformed: " + err.Detail})
}

// interim passes on a 1xx; false: the exchange is over or became a tunnel. rest is
// what came behind it.
func (u *upConn) interim(r *h1.Response, rest []byte) bool {
	x := u.x
	x.interim++
	asked := r.Status == 101 && x.upgrade && answersUpgrade(x.head, r.Upgrade)
	switch {
	case asked && x.extended() && !x.proven(r):
		u.badResponse(errUnproven)
		return false
	case r.Status == 101 && mayUpgrade(r.Upgrade) && x.reqDone && (asked || u.l.cfg.Faults.SwitchUnasked):
		if x.barredTunnel() {
			return false
		}
		u.ep.Answered(u.l.now())
		x.status, x.headSent = r.Status, true
		x.guardCookies(r)
		x.c.upgraded(r, rest)
		return false
	case r.Status == 101, x.interim > maxInterim:
		u.l.stats.badResponses.Add(1)
		u.abandon()
		x.replyLate(response{status: 502, reason: "bad_response", text: errUnexpected101.Error()})
		return false
	}
	x.passInterim(r)
	return true
}
