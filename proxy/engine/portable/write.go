package portable

import (
	"time"
)

// keepOut bounds the write buffer that is kept: a larger one is given back when empty.
const keepOut = 256 << 10

// write carries the queue to the kernel and, at the end, closes in good order.
// Owner: the connection; ends with the close, or with FIN both ways.
func (c *conn) write() {
	defer c.s.d.wg.Done()
	var mine []byte
	c.s.mu.Lock()
	for {
		for len(c.out) == 0 && !c.finSent && !c.closing && c.broken == nil && c.writeErr == nil {
			c.s.wait(&c.writable)
		}
		if c.broken != nil || c.writeErr != nil {
			break
		}
		if len(c.out) == 0 { // FIN is asked for, or close
			break
		}
		mine, c.out = c.out, mine[:0]
		c.writing = len(mine)
		c.s.mu.Unlock()
		n, err := c.nc.Write(mine)
		c.s.enter()
		c.writing -= n
		// Whoever waits in sureOfEOF waits for the end of this write, not only for its
		// error: a write that succeeded just before the reset has none to tell.
		if c.doubting {
			c.readable.Signal()
		}
		if err != nil {
			c.writeFailed(err)
			break
		}
		if cap(mine) > keepOut {
			mine = nil
		}
		if len(c.out) == 0 && !c.closing && c.broken == nil {
			c.s.h.Sent(c.id)
		}
		c.s.leave()
		c.s.mu.Lock()
	}
	c.endWrite()
	c.s.now = time.Now()
	c.done()
	c.s.leave()
}

// writeFailed keeps the read side open: an upstream that answers early and closes
// resets our write, but its answer is still there to be read.
func (c *conn) writeFailed(err error) {
	c.writeErr = err
	c.lost += int64(len(c.out))
	c.out = nil
	c.readable.Signal() // see sureOfEOF
	if c.closing {
		c.resetOnClose() // what the peer has is not the whole, and must not look like it
		c.fail(err)
		return
	}
	if c.paused || c.eof {
		c.fail(err)
	}
}

// endWrite sends FIN and waits as the end demands. Under mu, also while it sends, which takes no time: whoever asks what was
// acknowledged is to know whether the FIN is in it. Lets go of it while waiting.
func (c *conn) endWrite() {
	if c.broken != nil || c.writeErr != nil {
		return
	}
	if cw, ok := c.nc.(interface{ CloseWrite() error }); ok {
		c.fin = cw.CloseWrite() == nil
	}
	// The reader ends at EOF, at the deadline of close, or with an error.
	for c.running == 2 && c.broken == nil {
		c.s.wait(&c.writable)
	}
	if c.broken != nil {
		return
	}
	limit := c.s.d.cfg.Flush
	if c.closing {
		limit = min(limit, 2*c.linger)
	}
	c.s.mu.Unlock()
	err := awaitFlushed(c.nc, limit)
	c.s.mu.Lock()
	if err != nil {
		c.fail(err)
	}
}
