package tlslayer

import "github.com/sluiceproxy/sluice/proxy/engine"

// Unread implements engine.Shard. What came may be a session ticket, or hold a response that
// nobody asked for, and crypto/tls says which only when it is opened. So it is opened here, ahead of
// its time: what it holds is handed over as if it had not been. An end counts as well, for whoever
// asks wants to know whether the connection is clean; and what the kernel has still may be anything.
func (s *shard) Unread(id engine.ConnID) bool {
	c := s.conn(id)
	if c == nil || c.state != open {
		return s.Shard.Unread(id)
	}
	if len(c.ahead) > 0 || c.eof {
		return true
	}
	if s.peek == nil {
		s.peek = make([]byte, maxRecord)
	}
	n, err := c.tls.Read(s.peek)
	switch {
	case n > 0:
		c.ahead = append([]byte(nil), s.peek[:n]...)
		c.more = c.more || c.paused // Resume comes for it then
		if !c.paused && !c.posted {
			c.posted = true
			s.d.Post(id.Shard(), resumeNote{c}) // unless a read is under way, which does
		}
		return true
	case err != nil && err != error(wouldBlock{}):
		return true // crypto/tls says so again, to whoever reads in due course
	}
	s.flush(c)
	return s.Shard.Unread(id)
}

// read is the next plaintext: what Unread has opened, then what the connection has.
func (s *shard) read(c *conn) ([]byte, error) {
	if b := c.ahead; len(b) > 0 {
		c.ahead = nil
		return b, nil
	}
	n, err := c.tls.Read(s.plain)
	return s.plain[:n], err
}
