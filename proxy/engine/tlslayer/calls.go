package tlslayer

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// maxScratch is the most that a shard keeps to seal records in.
const maxScratch = 128 << 10

// Send implements engine.Shard.
func (s *shard) Send(id engine.ConnID, b []byte) {
	c := s.conn(id)
	if c == nil {
		s.Shard.Send(id, b)
		return
	}
	if c.state != open || len(b) == 0 {
		return // nobody could read it, or Closed is on its way
	}
	c.wire.lend(s.out)
	_, err := c.tls.Write(b)
	out := c.wire.fetch()
	c.owed = true
	c.last.note(len(out), len(b))
	s.Shard.Send(id, out)
	if s.out = nil; cap(out) <= maxScratch {
		s.out = out[:0]
	}
	if err != nil {
		s.broken(c, err)
	}
}

// Pause implements engine.Shard. Before the handshake is over it holds the plaintext only.
func (s *shard) Pause(id engine.ConnID) {
	c := s.conn(id)
	if c == nil || c.state == open {
		s.Shard.Pause(id)
	}
	if c != nil {
		c.paused = true
	}
}

// Resume implements engine.Shard.
func (s *shard) Resume(id engine.ConnID) {
	c := s.conn(id)
	if c == nil {
		s.Shard.Resume(id)
		return
	}
	c.paused = false
	switch {
	case c.state != open || c.posted:
	case c.more:
		c.posted = true
		s.d.Post(id.Shard(), resumeNote{c})
	default:
		s.Shard.Resume(id)
	}
}

func (s *shard) resumed(c *conn) {
	c.posted = false
	if s.conn(c.id) == c && c.state == open && !c.paused {
		s.drain(c)
	}
}

// Move implements engine.Shard.
func (s *shard) Move(dst, src engine.ConnID, n int64) bool {
	if s.conn(dst) != nil || s.conn(src) != nil {
		return false
	}
	return s.Shard.Move(dst, src, n)
}

// CloseWrite implements engine.Shard: a goodbye (close_notify), and FIN.
func (s *shard) CloseWrite(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		s.goodbye(c)
	}
	s.Shard.CloseWrite(id)
}

// Close implements engine.Shard.
func (s *shard) Close(id engine.ConnID, linger time.Duration) {
	if c := s.conn(id); c != nil && c.state != closing {
		s.goodbye(c)
		c.state = closing
		c.wire.shut()
	}
	s.Shard.Close(id, linger)
}

// goodbye says close_notify, once.
func (s *shard) goodbye(c *conn) {
	if c.state == open && !c.fin {
		_ = c.tls.CloseWrite() // into memory
		s.flush(c)
		c.fin = true
	}
}

// Abort implements engine.Shard.
func (s *shard) Abort(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.state = closing
		c.wire.shut()
	}
	s.Shard.Abort(id)
}
