//go:build linux

package epoll

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// direct is the size from which on a Send goes to the kernel at once and is not copied.
// Smaller ones are gathered until the loop settles: a head and the first bytes behind it
// leave in one piece, and what is aborted within the same call never leaves.
const direct = 4 << 10

// Send implements engine.Shard.
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
	if len(b) >= direct && c.phase == open && c.into == nil && !c.clogged {
		b = b[l.writeBoth(c, b):]
		if c.writeErr != nil {
			c.lost += int64(len(b))
			return
		}
	}
	if len(b) > 0 {
		if c.out == nil {
			c.out = l.outs.get(len(b))
		}
		c.out = append(l.outs.room(c.out, len(b)), b...)
	}
}

// writeBoth gives the kernel what is queued and then b, in one call, and returns how much
// of b it took.
func (l *loop) writeBoth(c *conn, b []byte) (taken int) {
	for len(c.out) > c.off {
		n, errno := sendBoth(c.fd, c.out[c.off:], b)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			c.clogged = true
			return 0
		case errno != 0:
			l.writeFailed(c, errno)
			return 0
		}
		if over := n - (len(c.out) - c.off); over >= 0 {
			l.emptied(c)
			taken = over
			break
		}
		c.off += n
	}
	return taken + l.write(c, b[taken:])
}

// write gives bytes to the kernel and returns how many it took.
func (l *loop) write(c *conn, b []byte) (taken int) {
	for len(b) > taken {
		n, errno := send(c.fd, b[taken:])
		switch errno {
		case 0:
			taken += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			c.clogged = true
			return taken
		default:
			l.writeFailed(c, errno)
			return taken
		}
	}
	return taken
}

// writeFailed keeps the read side: an upstream that answers early and closes resets our
// write, but its answer is still there to be read.
func (l *loop) writeFailed(c *conn, errno syscall.Errno) {
	c.writeErr = netError("write", errno)
	c.lost += int64(len(c.out) - c.off)
	l.emptied(c)
	l.touch(c)
}

// emptied: nothing is queued any more.
func (l *loop) emptied(c *conn) {
	l.outs.put(c.out)
	c.out, c.off = nil, 0
}

// flush gives the kernel what is queued, as far as it takes it. Where it took none the last
// time, it has something to say first: EPOLLOUT.
func (l *loop) flush(c *conn) {
	if c.phase == ended || c.phase == dialing || c.writeErr != nil || c.clogged {
		return
	}
	if l.flushOut(c) && c.into != nil {
		l.pump(c.into)
	}
}

// flushOut reports whether the queue is empty afterwards.
func (l *loop) flushOut(c *conn) bool {
	if len(c.out) == c.off {
		return true
	}
	c.off += l.write(c, c.out[c.off:])
	switch {
	case c.writeErr != nil:
		return false
	case c.off < len(c.out):
		c.compact()
		return false
	}
	l.emptied(c)
	return true
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

// Unread implements engine.Shard.
func (l *loop) Unread(id engine.ConnID) bool {
	c := l.conn(id)
	return c != nil && c.fd >= 0 && c.readable && unread(c.fd) > 0
}

// Acked implements engine.Shard.
func (l *loop) Acked(id engine.ConnID) int64 {
	c := l.conn(id)
	if c == nil || c.fd < 0 {
		return -1
	}
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return -1
	}
	return int64(info.Bytes_acked)
}

// Check implements engine.Shard.
func (l *loop) Check(id engine.ConnID, probe time.Duration) (v engine.Vital, ok bool) {
	c := l.conn(id)
	if c == nil || c.fd < 0 || c.phase == dialing {
		return v, false
	}
	if probe > 0 {
		probePeer(c.fd, probe)
	}
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return v, false
	}
	heard := min(info.Last_ack_recv, info.Last_data_recv)
	return engine.Vital{Acked: int64(info.Bytes_acked), Pending: int64(c.queued() + unacked(c.fd)), Heard: time.Duration(heard) * time.Millisecond}, true
}

// probePeer makes the kernel probe a silent peer. It is never to give the connection up by
// itself: who asked decides.
func probePeer(fd int, every time.Duration) {
	seconds := int32(max(1, every/time.Second))
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds)
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, maxProbes)
	setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// maxProbes is the most that Linux allows.
const maxProbes = 127

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
		c.timers.Disarm(int(t))
	default:
		l.arm(c, t, d)
	}
}

// Index implements engine.Shard.
func (l *loop) Index() int { return l.index }

// Now implements engine.Shard.
func (l *loop) Now() time.Time { return l.now }
