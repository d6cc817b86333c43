package tlslayer

import (
	"errors"
	"io"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Accepted implements engine.Handler.
func (s *shard) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	s.h.Accepted(id, listener, peer)
}

// Dialed implements engine.Handler.
func (s *shard) Dialed(id engine.ConnID, err error) { s.h.Dialed(id, err) }

// Received implements engine.Handler.
func (s *shard) Received(id engine.ConnID, b []byte) {
	c := s.conn(id)
	if c == nil {
		s.h.Received(id, b)
		return
	}
	switch c.state {
	case greeting:
		c.wire.feed(b)
		s.greet(c)
	case handshaking:
		if c.wire.feed(b) > maxEarly && !c.held {
			c.held = true
			s.Shard.Pause(id)
		}
	case open:
		if c.eof {
			return // behind the peer's goodbye
		}
		c.mute += len(b)
		lent := c.wire.borrow(b)
		s.pump(c)
		if lent {
			c.wire.keep()
		}
	case failed, closing:
	}
}

// EOF implements engine.Handler.
func (s *shard) EOF(id engine.ConnID) {
	c := s.conn(id)
	if c == nil {
		s.h.EOF(id)
		return
	}
	c.wire.end()
	switch c.state {
	case greeting:
		c.state = handshaking
		s.done(c, io.ErrUnexpectedEOF)
	case open:
		s.pump(c)
	case handshaking, failed, closing:
	}
}

// ended: nothing more can be read. For a goodbye (close_notify) crypto/tls says io.EOF, and also
// for a FIN between two records; but then the wire has said it first. Without a goodbye what
// came may have been cut short by anybody (RFC 8446 section 6.1). Clients just leave, and the
// framing of their requests says what is whole; an upstream's response may depend on it.
func (s *shard) ended(c *conn, err error) {
	switch {
	case !errors.Is(err, io.EOF):
		s.broken(c, err)
	case c.client && c.wire.told:
		// There is nobody to hear an alert, and a handler must not think of it as idle meanwhile.
		c.err, c.state = errTruncated, closing
		s.Shard.Close(c.id, 0)
	default:
		c.eof = true
		s.h.EOF(c.id)
	}
}

// broken ends a connection of which no use is left, once the peer was told why.
func (s *shard) broken(c *conn, err error) {
	s.flush(c)
	c.err, c.state = err, closing
	s.Shard.Close(c.id, lastWord)
}

// flush sends what crypto/tls wants sent by itself: handshakes, alerts, answers to key updates.
// Behind our FIN nobody can be told anything any more.
func (s *shard) flush(c *conn) {
	out := c.wire.fetch()
	if len(out) == 0 || c.fin || c.state == closing {
		return
	}
	c.ours += len(out)
	c.last.note(len(out), 0)
	s.Shard.Send(c.id, out)
}

// Sent implements engine.Handler.
func (s *shard) Sent(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.ours = 0
		if !c.owed {
			return // what left was ours
		}
		c.owed = false
	}
	s.h.Sent(id)
}

// Moved implements engine.Handler.
func (s *shard) Moved(dst, src engine.ConnID, n int64, done bool) { s.h.Moved(dst, src, n, done) }

// Closed implements engine.Handler.
func (s *shard) Closed(id engine.ConnID, end engine.End) {
	if c := s.conn(id); c != nil {
		s.forget(c)
		c.state = closing
		c.wire.shut()
		if end.Err == nil {
			end.Err = c.err
		}
		end.Unsent = c.last.plain(end.Unsent)
		if end.Discarded <= c.alert {
			end.Discarded = 0
		}
	}
	s.h.Closed(id, end)
}

// Fired implements engine.Handler.
func (s *shard) Fired(id engine.ConnID, t engine.Timer) { s.h.Fired(id, t) }

// Answer implements engine.Handler.
func (s *shard) Answer(id engine.ConnID, v any) { s.h.Answer(id, v) }

// Notice implements engine.Handler.
func (s *shard) Notice(v any) {
	switch v := v.(type) {
	case flightNote:
		if s.conn(v.c.id) == v.c && v.c.state == handshaking {
			s.flush(v.c)
		}
	case doneNote:
		s.done(v.c, v.err)
	case resumeNote:
		s.resumed(v.c)
	default:
		s.h.Notice(v)
	}
}
