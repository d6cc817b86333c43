//go:build linux

package epoll

import (
	"syscall"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// move carries bytes from one connection to another: through a pipe, without their ever
// being in user space (splice(2)), or by copy while no pipe is free.
type move struct {
	dst, src *conn
	left     int64 // still to be taken from src; < 0: until EOF
	held     int   // taken from src, not yet given to dst's kernel: in the pipe
	pipe     *pipe // held only while bytes move
	eof      bool  // src is at its end
	news     int64 // moved since the last Moved
}

// maxPieces is how often one Move fills or drains its pipe in a round.
const maxPieces = 4

// Move implements engine.Shard.
func (l *loop) Move(dst, src engine.ConnID, n int64) bool {
	d, s := l.conn(dst), l.conn(src)
	if d == nil || s == nil || d == s || d.phase != open || s.phase != open || n == 0 ||
		d.asked || s.asked || d.fin || s.eof || d.writeErr != nil || d.into != nil || s.outOf != nil {
		return false
	}
	m := l.moves.get()
	*m = move{dst: d, src: s, left: n}
	d.into, s.outOf = m, m
	l.touch(s)
	return true
}

// pump takes a Move as far as it goes in this round, and tells of it.
func (l *loop) pump(m *move) {
	pieces := 0
	for ; pieces < maxPieces && l.piece(m); pieces++ {
	}
	if m.pipe != nil && m.held == 0 {
		l.pipes.give(m.pipe, 0)
		m.pipe = nil
	}
	if m.dst.into != m { // one of the two broke
		return
	}
	done := m.held == 0 && m.dst.off == len(m.dst.out) && m.dst.writeErr == nil && (m.eof || m.left == 0)
	if done || pieces == maxPieces {
		l.touch(m.src) // what comes behind it, or EOF
	}
	n, dst, src := m.news, m.dst.id, m.src.id
	m.news = 0
	if done {
		m.dst.into, m.src.outOf = nil, nil
		l.moves.put(m)
	}
	if n > 0 || done {
		l.h.Moved(dst, src, n, done)
	}
}

// moves keeps those that came to their end for reuse; nobody else has one of them. The zero
// value is empty. Owned by its loop.
type moves struct{ idle []*move }

const keepMoves = 256

func (p *moves) get() *move {
	n := len(p.idle)
	if n == 0 {
		return &move{}
	}
	m := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return m
}

func (p *moves) put(m *move) {
	*m = move{}
	if len(p.idle) < keepMoves {
		p.idle = append(p.idle, m)
	}
}

// piece moves one piece; false: nothing more can be done now.
func (l *loop) piece(m *move) bool {
	switch {
	case m.dst.into != m || m.dst.clogged || m.dst.writeErr != nil:
		// A write that failed: what dst sent before may still be read; its Closed follows.
		return false
	case m.dst.off < len(m.dst.out): // sent before the Move, or copied by it
		return l.flushOut(m.dst)
	case m.held > 0:
		return l.drainPipe(m)
	case m.left == 0 || m.eof || m.src.paused || !m.src.readable:
		return false
	}
	if m.pipe == nil {
		m.pipe = l.pipes.take()
	}
	if m.pipe == nil {
		return l.copyPiece(m)
	}
	return l.fillPipe(m)
}

// fillPipe takes bytes from src. A short splice says nothing about what is left.
func (l *loop) fillPipe(m *move) bool {
	n, errno := splice(m.src.fd, m.pipe.w, m.room(pipeSize))
	switch {
	case errno == syscall.EINTR:
	case errno == syscall.EAGAIN && m.src.ending, errno == 0 && n == 0:
		// A splice does not get past urgent data, and where FIN is behind them it says that
		// this is the end. A read gets past them, and knows.
		return l.copyPiece(m)
	case errno == syscall.EAGAIN:
		m.src.readable = false
		return false
	case errno != 0:
		l.end(m.src, netError("splice", errno))
		return false
	default:
		m.took(n)
		m.held = n
	}
	return true
}

// drainPipe gives dst what the pipe holds.
func (l *loop) drainPipe(m *move) bool {
	n, errno := splice(m.pipe.r, m.dst.fd, m.held)
	switch {
	case errno == syscall.EINTR:
	case errno == syscall.EAGAIN:
		m.dst.clogged = true
		return false
	case errno != 0:
		l.writeFailed(m.dst, errno)
		return false
	default:
		m.held -= n
		m.news += int64(n)
	}
	return true
}

// copyPiece moves one read by copy: there is no pipe to be had. What dst does not take is
// queued, and nothing is read before that has left.
func (l *loop) copyPiece(m *move) bool {
	n, errno := recv(m.src.fd, l.in[:m.room(len(l.in))])
	switch {
	case errno == syscall.EINTR:
	case errno == syscall.EAGAIN:
		m.src.readable = false
		return false
	case errno != 0:
		l.end(m.src, netError("read", errno))
		return false
	case n == 0:
		m.eof = true
		return false
	default:
		m.took(n)
		m.news += int64(n)
		b := l.in[:n]
		if b = b[l.write(m.dst, b):]; len(b) > 0 && m.dst.writeErr == nil {
			m.dst.out = append(l.outs.get(len(b)), b...)
		}
		return m.dst.writeErr == nil
	}
	return true
}

func (m *move) room(most int) int {
	if m.left < 0 {
		return most
	}
	return int(min(m.left, int64(most)))
}

func (m *move) took(n int) {
	if m.left > 0 {
		m.left -= int64(n)
	}
}

// endMoves ends what a connection that is over takes part in. A source whose destination
// broke is not read on before the handler has heard of it: see parted.
func (l *loop) endMoves(c *conn) {
	if m := c.outOf; m != nil {
		c.outOf, m.dst.into = nil, nil
		l.dropPipe(m)
	}
	if m := c.into; m != nil {
		c.into, c.parting = nil, m
		l.dropPipe(m)
	}
}

// parted lets a source go whose Move ended with its destination.
func (l *loop) parted(c *conn) {
	if m := c.parting; m != nil {
		c.parting = nil
		if m.src.outOf == m {
			m.src.outOf = nil
			l.touch(m.src)
		}
	}
}

func (l *loop) dropPipe(m *move) {
	if m.pipe != nil {
		l.pipes.give(m.pipe, m.held)
		m.pipe = nil
	}
	m.dst.lost += int64(m.held)
	m.held = 0
}
