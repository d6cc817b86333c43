package world

import (
	"strconv"
	"time"
)

// answer is a response as an upstream will write it, and how it ends.
type answer struct {
	c      *upConn
	r      *request
	out    []byte
	sound  bool // it is what r asked for, and whole
	finish func()
}

// respond writes the answer to r in one of many ways.
func (c *upConn) respond(r *request) {
	w := c.u.w
	c.busy = true
	switch {
	case r.switches && !c.early:
		c.switchTo(r)
		return
	case !c.early && r.asks != echoProtocol && w.net.Chance(0.005):
		c.switchUnasked(r)
		return
	}
	a := &answer{c: c, r: r, sound: true, finish: c.done}
	a.build()
	a.spoil()
	w.trace("upstream %v answers r%d (early %v, sound %v)", c.sock.Addr, r.num, c.early, a.sound)
	a.write(a.out)
}

// build lays out a sound response.
func (a *answer) build() {
	c, r, w := a.c, a.r, a.c.u.w
	content := body(r.num, r.respLen)
	if w.net.Chance(0.05) {
		w.net.Count["interim response"]++
		a.out = append(a.out, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"...)
	}
	a.out = append(a.out, "HTTP/1.1 200 OK\r\nX-For: r"...)
	a.out = append(strconv.AppendInt(a.out, int64(r.num), 10), "\r\n"...)
	chunked := w.net.Chance(0.3)
	c.untilClose = !chunked && w.net.Chance(0.1) && r.method != "HEAD"
	r.endless = r.method != "HEAD" && (chunked || c.untilClose)
	switch {
	case r.method == "HEAD":
		a.length(len(content))
	case chunked:
		a.out = w.appendChunks(append(a.out, "Transfer-Encoding: chunked\r\n\r\n"...), content)
	case c.untilClose:
		w.net.Count["until close"]++
		a.out = append(append(a.out, "Connection: close\r\n\r\n"...), content...)
		a.finish = func() {
			// Whoever closes before it has read everything resets, and that may destroy
			// the response on its way.
			c.carrier().broke = c.early
			c.gone = true
			c.sock.Close()
		}
	default:
		a.length(len(content))
		a.out = append(a.out, content...)
	}
}

// length ends the head of a response of n bytes.
func (a *answer) length(n int) {
	a.out = append(a.out, "Content-Length: "...)
	a.out = append(strconv.AppendInt(a.out, int64(n), 10), "\r\n\r\n"...)
}

// spoil makes some responses faulty.
func (a *answer) spoil() {
	c, r, w := a.c, a.r, a.c.u.w
	bodied := r.method != "HEAD" && !c.untilClose
	switch {
	case w.net.Chance(0.03) && bodied && r.respLen > 0:
		w.net.Count["truncated response"]++
		a.out = a.out[:len(a.out)-1-w.net.Rand.IntN(min(r.respLen, 50))]
		a.fail(func() { c.gone = true; c.sock.Close() })
	case w.net.Chance(0.02):
		w.net.Count["upstream reset"]++
		a.out = a.out[:w.net.Rand.IntN(len(a.out))]
		a.fail(func() { c.gone = true; c.sock.Abort() })
	case w.net.Chance(0.04):
		w.net.Count["silent close"]++ // keep-alive promised, closed after a while
		next := a.finish
		a.finish = func() {
			next()
			w.net.After(w.net.Between(0, 100*time.Millisecond), func() {
				if !c.gone {
					c.close()
				}
			})
		}
	}
}

// fail makes the answer end in a fault.
func (a *answer) fail(end func()) {
	a.sound, a.r.flawed, a.finish = false, true, end
}

// write sends out in pieces with pauses.
func (a *answer) write(out []byte) {
	c, w := a.c, a.c.u.w
	if c.gone {
		return
	}
	k := len(out)
	if k > 1 && w.net.Chance(0.3) {
		k = 1 + w.net.Rand.IntN(k-1)
	}
	c.sock.Write(out[:k])
	if k < len(out) {
		w.net.After(w.net.Between(0, 30*time.Millisecond), func() { a.write(out[k:]) })
		return
	}
	switch {
	case !a.sound:
		c.carrier().broke = true
	case !c.early:
		a.r.sound = c.carrier()
	}
	a.finish()
}

// done: the response is written; the connection is kept.
func (c *upConn) done() {
	c.busy, c.cur, c.last = false, nil, c.cur
	if !c.gone {
		c.u.w.net.After(0, c.next)
	}
}
