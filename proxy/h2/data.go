package h2

// beginData judges a DATA frame by its header, RFC 9113 section 6.1. Its payload is handed on as it comes: no
// frame is gathered. c.data is the stream that gets it, nil if nobody does; then it is credited at once.
func (c *Conn) beginData() {
	f := &c.f
	if c.idle(f.id) {
		c.fail(ProtocolError, BadStreamID, "DATA on a stream that was never opened")
		return
	}
	if f.has(flagPadded) && f.length == 0 {
		c.fail(FrameSizeError, BadFrameSize, "a padded frame without its Pad Length")
		return
	}
	if f.length > int(c.recv) {
		c.fail(FlowControlError, BadWindow, "more DATA than the window of the connection")
		return
	}
	c.recv -= int32(f.length)
	s := c.lookup(f.id)
	if s == nil && !c.late() {
		return
	}
	if s != nil {
		switch {
		case s.recvEnd:
			c.streamError(s, StreamClosed, MalformedOrder)
			s = nil
		case !s.recvHead:
			c.streamError(s, ProtocolError, MalformedOrder)
			s = nil
		case f.length > int(s.recv):
			c.streamError(s, FlowControlError, BadWindow)
			s = nil
		default:
			s.recv -= int32(f.length)
		}
	}
	c.data, c.dataLeft, c.padLeft, c.reading = s, f.length, 0, readData
	switch {
	case c.err != nil:
	case f.has(flagPadded):
		c.reading = readPad
	default:
		c.measure()
	}
}

// readPadLength reads the first byte of a padded frame. Padding and its length are nobody's to consume.
func (c *Conn) readPadLength(b []byte) []byte {
	c.padLeft = int(b[0])
	c.dataLeft -= 1 + c.padLeft
	if c.dataLeft < 0 {
		c.fail(ProtocolError, BadFrame, "more padding than payload")
		return nil
	}
	c.reading = readData
	c.giveBack(c.current(), 1+c.padLeft)
	c.measure()
	return b[1:]
}

// measure checks the length of the body against Content-Length before a byte of the frame is
// shown, so that a body is never longer than its head said (RFC 9113 section 8.1.1).
func (c *Conn) measure() {
	end, n := c.f.has(flagEndStream), c.dataLeft
	if !end && !c.chargeData(n) {
		return
	}
	if s := c.current(); s != nil {
		s.got += int64(n)
		if s.noBody && n > 0 || s.length >= 0 && (s.got > s.length || end && s.got != s.length) {
			c.streamError(s, ProtocolError, MalformedLength)
		}
	}
	if c.err == nil && n == 0 && c.padLeft == 0 {
		c.reading = readHeader
		c.deliver(nil, end)
	}
}

// current is the stream of the DATA frame that is being read, if it is still there.
func (c *Conn) current() *Stream {
	if c.data != nil && !c.alive(c.data, c.f.id) {
		c.data = nil
	}
	return c.data
}

func (c *Conn) readBody(b []byte) []byte {
	n := min(len(b), c.dataLeft)
	piece := b[:n]
	pad := min(len(b)-n, c.padLeft)
	c.dataLeft -= n
	c.padLeft -= pad
	last := c.dataLeft == 0 && c.padLeft == 0
	if last {
		c.reading = readHeader
	}
	c.deliver(piece, last && c.f.has(flagEndStream))
	return b[n+pad:]
}

func (c *Conn) deliver(piece []byte, end bool) {
	s := c.current()
	if s == nil {
		c.giveBack(nil, len(piece))
		return
	}
	s.recvEnd = end
	id := s.id
	if s.dropped {
		c.giveBack(s, len(piece))
	} else if len(piece) > 0 || end {
		s.unconsumed += int32(len(piece))
		c.ev.Data(s, piece, end)
	}
	if end && c.alive(s, id) {
		c.settle(s)
	}
}
