package world

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// How an HTTP/2 connection has to be left: a notice that refuses nothing and, once the client has answered that
// and draining has begun, the last stream; nothing that was sent before the notice came is refused.

// h2Goodbye is what a client was told. The zero value: nothing.
type h2Goodbye struct {
	noticeAt time.Time
	finalAt  time.Time
	lost     []*h2Call // what the GOAWAY that is being read has refused
	finSent  bool      // the client closed its half
}

const lastStream = 1<<31 - 1

// noticeWait is how long the proxy waits for the answer to its notice.
const noticeWait = 2 * time.Second

// noticeBytes is the notice on the wire: GOAWAY, NO_ERROR, the highest stream that there can be.
var noticeBytes = []byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00")

// tapNotice notes when the proxy sent a notice.
func (w *world) tapNotice(s *sim.Sock, b []byte) {
	if !w.h2.clients {
		return
	}
	if _, ours := w.accepted[s.Addr]; ours && s.To == "" && w.noticed[s.Addr].IsZero() && bytes.Contains(b, noticeBytes) {
		w.noticed[s.Addr] = w.net.Now()
	}
}

// GoAway implements h2.Events.
func (c *h2Client) GoAway(last uint32, code h2.ErrorCode, _ []byte) {
	w, now := c.w, c.w.net.Now()
	w.trace("client %v is told to leave: last stream %d, %v", c.sock.Addr, last, code)
	switch {
	case code != h2.NoError:
		if !w.struck[c.sock.Addr] {
			w.violate("client %v got GOAWAY with %v", c.sock.Addr, code)
		}
	case last == lastStream:
		if !c.noticeAt.IsZero() {
			w.violate("client %v got two notices", c.sock.Addr)
		}
		c.noticeAt = now
		c.judgeNotice()
	default:
		if !c.finalAt.IsZero() {
			w.violate("client %v got two final GOAWAYs", c.sock.Addr)
		}
		c.finalAt = now
		if c.noticeAt.IsZero() && !c.hurried() {
			w.violate("client %v got a final GOAWAY without a notice", c.sock.Addr)
		}
	}
	c.judgeRefused(last)
}

// hurried reports whether there is a reason to leave the client without further ado.
func (c *h2Client) hurried() bool {
	w, addr := c.w, c.sock.Addr
	return c.early || c.finSent || w.struck[addr] || w.wasEvicted(addr) || w.mayGiveUp(addr) || w.cutNow() ||
		w.classed() && !w.drainBegan.IsZero() && w.net.Now().After(w.drainBegan.Add(classLimit))
}

// unheard reports whether the answer to the notice came too late to be waited for.
func (c *h2Client) unheard() bool {
	sent := c.w.noticed[c.sock.Addr]
	return !sent.IsZero() && !c.noticeAt.IsZero() && c.noticeAt.Sub(sent) > noticeWait-8*c.w.net.MaxDelay
}

// retires reports whether the connection has carried as much as one may.
func (c *h2Client) retires() bool {
	most := c.w.h2.limits.MaxRequests
	return most > 0 && c.opened >= most
}

// judgeNotice: a client is told once a stop has begun, if it was there before that; others, once draining has.
func (c *h2Client) judgeNotice() {
	w := c.w
	accepted := w.accepted[c.sock.Addr]
	switch {
	case c.retires() || c.hurried() || !w.drainBegan.IsZero():
	case !w.left.IsZero() && accepted.After(w.left):
		w.violate("client %v came in the lame duck and was told to leave before draining", c.sock.Addr)
	case w.left.IsZero() && accepted.After(w.undoneAt):
		w.violate("client %v was told to leave although the proxy serves", c.sock.Addr)
	}
}

// refused: nothing was done with a request; it may be sent again elsewhere.
func (c *h2Client) refused(call *h2Call) {
	c.lost = append(c.lost, call)
	c.w.net.Count["refused and sent again"]++
	call.r.excused = true
	c.left++
}

// judgeRefused: a client opens nothing behind a notice, so the last stream must not be below one of its own.
func (c *h2Client) judgeRefused(last uint32) {
	w := c.w
	for _, call := range c.lost {
		if !c.hurried() && !c.unheard() {
			w.violate("r%d was sent before the notice came, and the final GOAWAY (last stream %d) refuses it", call.r.num, last)
		}
	}
	c.lost = nil
}

// judgeEnd: the proxy ended the connection.
func (c *h2Client) judgeEnd(how string) {
	w, now := c.w, c.w.net.Now()
	for _, call := range c.lost {
		w.violate("r%d was refused without a GOAWAY", call.r.num)
	}
	if c.hurried() || len(c.calls) > 0 {
		return
	}
	if how == "reset" {
		w.violate("client %v was reset with nothing under way", c.sock.Addr)
	}
	if w.drainBegan.IsZero() && !c.retires() {
		w.violate("client %v was closed although the proxy serves", c.sock.Addr)
	}
	if c.noticeAt.IsZero() || c.finalAt.IsZero() {
		w.violate("client %v was closed without its goodbye: notice %v, final %v", c.sock.Addr, !c.noticeAt.IsZero(), !c.finalAt.IsZero())
	}
	if c.retires() {
		return
	}
	since := later(later(c.lastDone, w.drainBegan), later(c.noticeAt, c.readsAt))
	if wait := now.Sub(since); wait > h2Soon {
		w.violate("client %v was closed %v after its last exchange", c.sock.Addr, wait)
	}
}

// h2Soon bounds the time from the end of the last exchange to the close: a round of the loop, the answer to the
// notice, and what the network takes.
const h2Soon = 700 * time.Millisecond
