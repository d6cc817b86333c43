package world

import "github.com/sluiceproxy/sluice/proxy/h2"

// How an HTTP/2 client ends what it has begun.

// cancel resets a stream in the middle.
func (c *h2Client) cancel(call *h2Call) {
	if call.s == nil || c.ended {
		return
	}
	c.w.net.Count["stream cancelled"]++
	c.w.trace("client %v cancels r%d", c.sock.Addr, call.r.num)
	call.r.excused = true
	s := call.s
	c.forget(call)
	s.Reset(h2.Cancel)
	c.flush()
}

// breakOff resets the connection, whatever runs on it.
func (c *h2Client) breakOff() {
	if c.ended || len(c.calls) == 0 || c.w.net.Chance(0.5) {
		return
	}
	c.w.net.Count["client reset"]++
	for _, call := range c.calls {
		call.r.excused = true
	}
	c.ended = true
	c.sock.Abort()
	c.w.parted = append(c.w.parted, c.w.net.Now())
}

// halfClose says that it sends nothing more, and still wants its answers.
func (c *h2Client) halfClose() {
	if !c.ended && !c.finSent {
		c.w.net.Count["half-close"]++
		c.finSent = true
		c.sock.CloseWrite()
	}
}
