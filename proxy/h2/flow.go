package h2

import "encoding/binary"

// Consumed says that n bytes of the stream's data were passed on, so the peer may send as many more. Updates are gathered
// until they give at least what the peer has left. Bytes of a stream that ends are given back by the connection itself.
func (c *Conn) Consumed(s *Stream, n int) {
	if s.c != c || s.gone || n <= 0 {
		return
	}
	if n > int(s.unconsumed) {
		panic("BUG: h2: more consumed than came")
	}
	s.unconsumed -= int32(n)
	c.giveBack(s, n)
}

// enough is what an update should give while more is certain to be consumed: a frame.
const enough = minMaxFrame

// giveBack returns n bytes to the window of the connection, and of s if it is not nil.
//
// The rule "at least what is left" is "half of the window" while all that comes is consumed. While other streams
// sit on a part of the window, it still lets what moves move: then the connection's update leaves with the next
// Append, however small.
func (c *Conn) giveBack(s *Stream, n int) {
	if n == 0 || c.err != nil {
		return
	}
	c.recvBack += int32(n)
	if c.recvBack >= c.recv {
		if int(c.recvBack) >= min(c.cfg.ConnWindow/4, enough) {
			c.updateConn()
		} else {
			c.updateDue = true
		}
	}
	if s == nil {
		return
	}
	s.recvBack += int32(n)
	if !s.recvEnd && s.recvBack >= s.recv && (s.unconsumed == 0 || int(s.recvBack) >= min(c.cfg.StreamWindow/4, enough)) {
		c.queue(appendWord(c.outgoing(), frameWindow, s.id, uint32(s.recvBack)))
		s.recv += s.recvBack
		s.recvBack = 0
	}
}

// updateConn gives the connection's window what there is to give back.
func (c *Conn) updateConn() {
	c.queue(appendWord(c.outgoing(), frameWindow, 0, uint32(c.recvBack)))
	c.recv += c.recvBack
	c.recvBack, c.updateDue = 0, false
}

// handleWindow reads WINDOW_UPDATE, RFC 9113 section 6.9.
func (c *Conn) handleWindow(p []byte) {
	n := binary.BigEndian.Uint32(p) & maxWindow
	id := c.f.id
	if !c.charge(1) {
		return
	}
	if id == 0 {
		switch {
		case n == 0:
			c.fail(ProtocolError, BadWindow, "a WINDOW_UPDATE of 0")
		case int64(c.send)+int64(n) > maxWindow:
			c.fail(FlowControlError, BadWindow, "the window of the connection overflows")
		default:
			c.send += int32(n)
		}
		return
	}
	if c.idle(id) {
		c.fail(ProtocolError, BadStreamID, "WINDOW_UPDATE on a stream that was never opened")
		return
	}
	s := c.lookup(id)
	switch {
	case s == nil: // it crossed the end of the stream
	case n == 0:
		c.streamError(s, ProtocolError, BadWindow)
	case int64(s.send)+int64(n) > maxWindow:
		c.streamError(s, FlowControlError, BadWindow)
	default:
		s.send += int32(n)
		c.makeReady(s)
	}
}
