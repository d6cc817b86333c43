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
				c.finish()
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

// end is the last word: the slot is free, the handler told.
func (c *conn) end(err error) {
	for i := range c.stops {
		c.disarm(i)
	}
	unsent := int64(0)
	if c.sock != nil {
		unsent = int64(c.sock.Unacked())
		c.sock.Close()
	}
	c.endMoves()
	slot := c.id.Slot()
	c.s.conns[slot] = nil
	c.s.free = append(c.s.free, slot)
	c.s.h.Closed(c.id, engine.End{Err: err, Unsent: unsent, Discarded: c.dropped})
}

// finish waits until the peer has read everything, or two seconds, or twice the linger
// that was asked for, and releases.
func (c *conn) finish() {
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
