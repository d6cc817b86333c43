package sim

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// conn is one connection of a shard.
type conn struct {
	s       *shard
	id      engine.ConnID
	sock    *Sock
	closing bool
	asked   bool          // closing, by the handler: it must not send
	linger  time.Duration // of Close
	acking  bool          // closing, and all that is left is the wait for the peer to have read
	finSent bool
	eof     bool
	dropped int64
	paused  bool
	owed    bool // Sent is due once the queue is empty
	stops   [engine.NumTimers]func() bool

	into, outOf *move // the Move that this connection is the destination, or the source, of
	lateEOF     bool  // EOF came while a Move out of it was under way
}

// live is the connection if the handler may still hear of it.
func (c *conn) live() bool { return !c.s.down && c.s.conn(c.id) == c }

func (c *conn) attach(sock *Sock) {
	c.sock = sock
	s := c.s
	sock.SetEvents(Events{
		Data: func(b []byte) {
			switch {
			case !c.live():
			case c.closing:
				c.dropped += int64(len(b))
			case c.outOf != nil:
				c.outOf.carry(b)
			default:
				s.h.Received(c.id, b)
			}
		},
		EOF: func() {
			c.eof = true
			if !c.live() {
				return
			}
			if c.closing {
				c.flushed()
				return
			}
			if c.outOf != nil {
				c.lateEOF = true
				c.outOf.ended()
				return
			}
			s.h.EOF(c.id)
			c.bothDone()
		},
		Room: func() {
			if !c.live() {
				return
			}
			if c.closing {
				c.flushed()
				return
			}
			if c.into != nil {
				c.into.left()
				return
			}
			c.sent()
			c.bothDone()
		},
		Reset: func() {
			if c.live() {
				c.end(ErrReset)
			}
		},
	})
	c.applyPause()
}

// sent tells that the queue became empty, if anything was sent since it was told the last time.
func (c *conn) sent() {
	if c.owed && c.live() && !c.closing && c.sock.Queued() == 0 {
		c.owed = false
		c.s.h.Sent(c.id)
	}
}

// bothDone ends a connection that has nothing left in either direction.
func (c *conn) bothDone() {
	if c.live() && c.eof && !c.lateEOF && c.finSent && !c.closing && c.sock.Queued() == 0 {
		c.closing, c.linger = true, time.Second
		c.finish()
	}
}

// end is the last word: the slot is free, the handler told. What the peer has is not the whole
// where it was not flushed, and must not look like it.
func (c *conn) end(err error) {
	for i := range c.stops {
		c.disarm(i)
	}
	unsent := int64(0)
	if c.sock != nil {
		unsent = int64(c.sock.Unacked())
		if err == ErrUnflushed {
			c.sock.Abort()
		} else {
			c.sock.Close()
		}
	}
	c.endMoves()
	slot := c.id.Slot()
	c.s.conns[slot] = nil
	c.s.free = append(c.s.free, slot)
	c.s.h.Closed(c.id, engine.End{Err: err, Unsent: unsent, Discarded: c.dropped})
}

// A close has three parts, as with the real drivers: until the kernel has what is queued, then
// until the peer's FIN, both within linger; then until the peer has read it all.

// flushed goes on with a close whose queue is empty and whose peer has said goodbye.
func (c *conn) flushed() {
	if c.eof && c.linger > 0 && c.sock.Queued() == 0 {
		c.finish()
	}
}

// lingered: the time of a close is over. Without any, whatever fits the kernel's buffer is the
// kernel's to deliver.
func (c *conn) lingered() {
	switch {
	case !c.live() || c.acking:
	case c.sock.Queued() > c.sock.Room():
		c.end(ErrUnflushed)
	case c.linger <= 0:
		c.end(nil)
	default:
		c.finish()
	}
}

// finish waits until the peer has read everything, or two seconds, or twice the linger
// that was asked for, and releases.
func (c *conn) finish() {
	if c.acking {
		return
	}
	c.acking = true
	deadline := c.s.n.now.Add(min(2*time.Second, 2*c.linger))
	var check func()
	check = func() {
		if !c.live() {
			return
		}
		if c.sock.Unacked() > 0 && c.s.n.now.Before(deadline) {
			c.s.n.After(time.Millisecond, check)
			return
		}
		c.end(nil)
	}
	c.s.n.After(0, check)
}

func (c *conn) disarm(i int) {
	if c.stops[i] != nil {
		c.stops[i]()
		c.stops[i] = nil
	}
}

func (c *conn) abort() {
	c.closing = true
	c.endMoves()
	for i := range c.stops {
		c.disarm(i)
	}
	if c.sock != nil {
		c.sock.Abort()
	}
	c.s.n.After(0, func() {
		if c.live() {
			c.end(ErrReset)
		}
	})
}
