//go:build linux

package epoll

import (
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// keepOut bounds the write buffer that is kept: a larger one is given back when empty.
const keepOut = 4 << 10

// Send implements engine.Shard. What the kernel takes at once is never copied.
func (l *loop) Send(id engine.ConnID, b []byte) {
	c := l.conn(id)
	if c == nil || len(b) == 0 {
		return
	}
	if c.fin || c.asked {
		panic("BUG: Send after CloseWrite or Close")
	}
	if c.phase == ended || c.writeErr != nil {
		c.lost += int64(len(b)) // Closed is on its way
		return
	}
	c.owed = true
	l.touch(c)
	if c.phase == open && c.queued() == 0 {
		b = b[l.write(c, b):]
	}
	switch {
	case len(b) == 0:
	case c.writeErr != nil:
		c.lost += int64(len(b))
	default:
		c.out = append(c.out, b...)
	}
}

// write gives bytes to the kernel and returns how many it took. Where the connection is
// broken it notes writeErr: the read side stays, since an upstream that answers early and
// closes resets our write, but its answer is still there to be read.
func (l *loop) write(c *conn, b []byte) (taken int) {
	for len(b) > taken {
		n, errno := send(c.fd, b[taken:])
		switch errno {
		case 0:
			taken += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return taken
		default:
			c.writeErr = netError("write", errno)
			return taken
		}
	}
	return taken
}

// flush gives the kernel what is queued, as far as it takes it.
func (l *loop) flush(c *conn) {
	if c.phase == ended || c.phase == dialing || c.writeErr != nil {
		return
	}
	if len(c.out) > c.off {
		c.off += l.write(c, c.out[c.off:])
		if c.writeErr != nil {
			c.lost += int64(len(c.out) - c.off)
			c.out, c.off = nil, 0
			l.touch(c)
			return
		}
		if c.off < len(c.out) {
			c.compact()
			return
		}
		c.out, c.off = c.out[:0], 0
		if cap(c.out) > keepOut {
			c.out = nil
		}
		l.touch(c) // Sent, or whatever waited for this
	}
	if c.into != nil {
		l.pump(c.into)
	}
}

// compact keeps a queue that never empties from growing by what has left already.
func (c *conn) compact() {
	if c.off > 64<<10 && c.off > len(c.out)/2 {
		c.out = c.out[:copy(c.out, c.out[c.off:])]
		c.off = 0
	}
}

// Queued implements engine.Shard.
func (l *loop) Queued(id engine.ConnID) int {
	if c := l.conn(id); c != nil {
		return c.queued() + int(c.lost)
	}
	return 0
}

// CloseWrite implements engine.Shard.
func (l *loop) CloseWrite(id engine.ConnID) {
	if c := l.conn(id); c != nil && !c.asked && !c.fin {
		c.fin = true
		l.touch(c)
	}
}

// Pause implements engine.Shard.
func (l *loop) Pause(id engine.ConnID) {
	if c := l.conn(id); c != nil {
		c.paused = true
		if c.writeErr != nil {
			l.touch(c) // nothing can come of it any more
		}
	}
}

// Resume implements engine.Shard.
func (l *loop) Resume(id engine.ConnID) {
	if c := l.conn(id); c != nil && c.paused {
		c.paused = false
		if c.readable {
			l.touch(c)
		}
	}
}

// Arm implements engine.Shard.
func (l *loop) Arm(id engine.ConnID, t engine.Timer, d time.Duration) {
	c := l.conn(id)
	switch {
	case c == nil:
	case d <= 0 || c.asked || c.phase == ended:
		l.timers.Disarm(&c.timers[t])
	default:
		l.arm(&c.timers[t], d)
	}
}

// Index implements engine.Shard.
func (l *loop) Index() int { return l.index }

// Now implements engine.Shard.
func (l *loop) Now() time.Time { return l.now }
