package sim

import "github.com/sluiceproxy/sluice/proxy/engine"

// move carries bytes from one connection to another without the handler's seeing them. What
// is under way is in the send queue of dst, which is what a pipe is elsewhere.
type move struct {
	dst, src *conn
	rest     int64 // still to be taken from src; < 0: until EOF
	queued   int64 // given to dst, not yet on its way
	eof      bool
	hold     bool // dst is behind, or everything was taken: src is not read
}

// moveHigh is how much a Move lets wait in dst before it stops reading src.
const moveHigh = 64 << 10

// Move implements engine.Shard.
func (s *shard) Move(dst, src engine.ConnID, n int64) bool {
	d, c := s.conn(dst), s.conn(src)
	if d == nil || c == nil || d == c || n == 0 || d.sock == nil || c.sock == nil || d.closing || c.closing ||
		d.finSent || c.eof || d.into != nil || c.outOf != nil {
		return false
	}
	m := &move{dst: d, src: c, rest: n}
	d.into, c.outOf = m, m
	if n > 0 {
		c.sock.ReadMost(int(min(n, 1<<30)))
	}
	s.n.Count["move"]++
	return true
}

// carry takes what came from src.
func (m *move) carry(b []byte) {
	m.queued += int64(len(b))
	if m.rest > 0 {
		m.rest -= int64(len(b))
		m.src.sock.ReadMost(int(min(m.rest, 1<<30)))
	}
	m.hold = m.rest == 0 || m.dst.sock.Queued()+len(b) > moveHigh
	m.src.applyPause()
	m.dst.sock.Write(b)
	m.dst.s.n.Count["moved"]++
}

// ended: src has sent its FIN.
func (m *move) ended() {
	m.eof = true
	if m.queued == 0 {
		m.src.s.n.After(0, m.left)
	}
}

// left: everything that was given to dst is on its way.
func (m *move) left() {
	if m.dst.into != m {
		return // it ended otherwise meanwhile
	}
	n, done, s := m.queued, m.rest == 0 || m.eof, m.src.s
	m.queued, m.hold = 0, false
	if done {
		m.release()
	}
	if m.src.live() && !m.src.closing {
		s.h.Moved(m.dst.id, m.src.id, n, done)
		m.src.tellLateEOF()
	}
	m.src.applyPause()
	m.dst.sent() // of a Send before the Move
}

func (m *move) release() {
	m.dst.into, m.src.outOf = nil, nil
	m.src.sock.ReadMost(0)
}

// endMoves ends the Moves of a connection that is over.
func (c *conn) endMoves() {
	for _, m := range []*move{c.into, c.outOf} {
		if m != nil {
			m.release()
			m.src.applyPause()
			m.src.tellLateEOF()
		}
	}
}

// tellLateEOF delivers, in its own event, an EOF that waited for a Move.
func (c *conn) tellLateEOF() {
	if !c.lateEOF {
		return
	}
	c.s.n.After(0, func() {
		if !c.lateEOF || c.paused || c.outOf != nil || c.closing || !c.live() {
			return
		}
		c.lateEOF = false
		c.s.h.EOF(c.id)
		c.bothDone()
	})
}

// applyPause reads from the socket unless the handler, or a Move, wants to wait.
func (c *conn) applyPause() {
	switch {
	case c.sock == nil:
	case (c.paused || c.outOf != nil && c.outOf.hold) && !c.closing:
		c.sock.Pause()
	default:
		c.sock.Resume()
	}
}
