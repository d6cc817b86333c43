package proxy

import (
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// Bulk that the driver carries by itself (engine.Shard.Move): nobody looks at it, it is only
// counted. Where the driver refuses, bytes come by received as ever.

// moveFrom is how much must be left of a body for that to pay.
const moveFrom = 64 << 10

// mayMove reports whether the next n payload bytes should be moved; n < 0: all until EOF.
func (l *loop) mayMove(n int64) bool {
	from := l.cfg.MoveFrom
	return from >= 0 && (n < 0 || n >= max(from, 1))
}

// moveBody has the driver carry what is left of the response, or of its chunk, but for the
// last byte: that one is read, and so is what stands behind it. Otherwise the connection would
// be free with an answer in it that nobody asked for, and the next request would get that.
// Everything that came was sent on.
func (u *upConn) moveBody() bool {
	dst, ok := u.x.c.receiver()
	if !ok {
		return false
	}
	n := u.body.Remaining()
	if n > 0 {
		n--
	}
	if u.paused != 0 || !u.l.mayMove(n) || !u.l.sh.Move(dst.id, u.id, n) {
		return false
	}
	dst.filled = true
	dst.watchStall()
	return true
}

func (u *upConn) moved(n int64, done bool) {
	if u.state != upBusy {
		return
	}
	if dst, ok := u.x.c.receiver(); ok {
		dst.filled = !done
	}
	u.body.Skip(n)
	u.x.bytesOut += n
	if h := u.x.d.handle; h != nil {
		h.Bytes(0, n)
	}
	u.arm(engine.TimerRead, u.ep.Cluster().Config().StreamIdle)
}

// moveBody has the driver carry what is left of the request body. Everything that came was
// sent on.
func (c *httpConn) moveBody() bool {
	u, ok := c.x.up.(*upConn)
	if !ok || c.x.chunked || c.paused&^pauseHeld != 0 || !c.l.mayMove(c.x.body.Remaining()) || !c.l.sh.Move(u.id, c.id, c.x.body.Remaining()) {
		return false
	}
	c.x.moving = true
	u.filled = true
	u.watchStall()
	return true
}

func (c *httpConn) moved(n int64, done bool) {
	x := c.x
	u, ok := x.up.(*upConn)
	if x.phase != forwarding || !ok {
		return
	}
	x.body.Skip(n)
	x.bytesIn += n
	if c.handle != nil {
		c.handle.Bytes(n, 0)
	}
	u.filled = !done
	x.moving = !done
	if done && x.body.Done() {
		x.reqDone = true
		x.requestSent()
		return
	}
	c.arm(engine.TimerRead, c.l.cfg.BodyTimeout)
}

// bulk has the driver carry all that is still to come from one side of a tunnel, once a
// piece shows that it is more than a conversation.
func (p *tunnelPair) bulk(from tunnel.Side, piece int) {
	const bulky = 16 << 10
	src, ok := p.ends[from].wire.(*tunnelConn)
	dst, both := p.ends[from.Other()].wire.(*tunnelConn)
	if !ok || !both || src.end.gone || dst.end.gone || src.paused != 0 {
		return
	}
	if p.bye != nil { // where frames count, the rest of a large one
		if n := p.bye.s.Remaining(websocket.Peer(from)); n > 0 && n < 1<<62 && p.l.mayMove(int64(n)) && !p.bye.s.Careless {
			p.l.sh.Move(dst.id, src.id, int64(n))
		}
		return
	}
	if int64(piece) < min(max(p.l.cfg.MoveFrom, 1), bulky) || !p.l.mayMove(-1) {
		return
	}
	p.l.sh.Move(dst.id, src.id, -1)
}

func (c *tunnelConn) moved(n int64, _ bool) {
	if n == 0 {
		return
	}
	e, p := c.end, c.end.p
	p.count(e.side, int(n))
	p.do(p.t.Bytes(e.side, int(n), 0, e.l.now())) // the driver takes no more than the other side does
	if p.bye != nil {
		p.bye.s.Skip(websocket.Peer(e.side), uint64(n))
		p.bye.proceed()
	}
}
