//go:build linux

package epoll

import (
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

// Close implements engine.Shard.
func (l *loop) Close(id engine.ConnID, linger time.Duration) {
	c := l.conn(id)
	if c == nil || c.asked {
		return
	}
	c.asked = true
	l.disarm(c)
	switch c.phase {
	case dialing:
		l.end(c, nil)
	case open, acking: // acking: both FINs are there, but nobody was told yet
		if c.phase == open && c.writeErr != nil {
			l.reset(c, c.writeErr)
			return
		}
		l.endMoves(c)
		l.parted(c)
		c.linger, c.phase = linger, flushing
		l.touch(c)
		if linger > 0 {
			l.arm(c, timerPhase, linger)
		}
	case free, flushing, lingering, ended:
	}
}

// Abort implements engine.Shard.
func (l *loop) Abort(id engine.ConnID) {
	if c := l.conn(id); c != nil {
		c.asked = true
		l.reset(c, errReset)
	}
}

// reset ends a connection by force.
func (l *loop) reset(c *conn, err error) {
	if c.phase != dialing && c.phase != ended {
		resetOnClose(c.fd)
	}
	l.end(c, err)
}

// finish takes a close as far as it can go by itself: flush, FIN, read to EOF, wait for the
// peer's kernel.
func (l *loop) finish(c *conn) {
	if c.phase == flushing {
		// Where it fails, what the peer has is not the whole, and must not look like it.
		l.flush(c)
		switch {
		case c.writeErr != nil:
			l.reset(c, c.writeErr)
			return
		case c.queued() > 0 && c.linger <= 0:
			l.reset(c, errUnflushed)
			return
		case c.queued() > 0:
			l.discard(c) // a peer that sends before it reads must not block
			return
		case c.linger <= 0:
			l.end(c, nil) // the close sends FIN
			return
		}
		if !c.finSent {
			c.finSent = true
			shutdownWrite(c.fd)
		}
		c.phase = lingering
	}
	if c.phase == lingering {
		if !l.discard(c) || !c.eof {
			return
		}
		l.await(c, l.d.cfg.Flush)
		return
	}
	l.awaitAcked(c)
}

// await begins the wait for the peer's kernel to have all that was sent, so that neither an
// exit nor the end of a network namespace can lose it.
func (l *loop) await(c *conn, limit time.Duration) {
	if c.linger > 0 {
		limit = min(limit, 2*c.linger)
	}
	c.phase, c.until = acking, l.now.Sub(l.began)+limit
	l.awaitAcked(c)
}

// awaitAcked asks the kernel, which gives no notice of that moment, in every tick. Usually
// the peer's FIN brought the acknowledgement and the first question is the last.
func (l *loop) awaitAcked(c *conn) {
	n := unacked(c.fd)
	if n == 0 || l.now.Sub(l.began) >= c.until {
		l.endKnowing(c, c.writeErr, n)
		return
	}
	if errno := pendingError(c.fd); errno != 0 {
		l.end(c, netError("flush", errno))
		return
	}
	l.arm(c, timerPhase, wheel.Tick/2)
}

// phaseTimeout: what bounds the phase of c ran out.
func (l *loop) phaseTimeout(c *conn) {
	switch c.phase {
	case dialing:
		l.end(c, netError("dial", syscall.ETIMEDOUT))
	case flushing:
		l.reset(c, errUnflushed)
	case lingering:
		l.await(c, l.d.cfg.Flush)
	case acking:
		l.awaitAcked(c)
	case free, open, ended:
	}
}
