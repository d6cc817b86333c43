package h2

import "time"

// Receive takes what the peer sent, in pieces of any size. now is any clock that does not go back; budgets
// refill by it. An error is a [*ConnError]: nothing is read after it, GOAWAY is queued, and every
// later call returns it again.
func (c *Conn) Receive(b []byte, now time.Duration) error {
	c.refill(now)
	for len(b) > 0 && c.err == nil {
		switch c.reading {
		case readPreface:
			b = c.readOpening(b)
		case readHeader:
			b = c.readFrame(b)
		case readPayload:
			b = c.readWhole(b)
		case readPad:
			b = c.readPadLength(b)
		case readData:
			b = c.readBody(b)
		case readSkip:
			n := min(len(b), c.dataLeft)
			b, c.dataLeft = b[n:], c.dataLeft-n
			if c.dataLeft == 0 {
				c.reading = readHeader
			}
		}
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

// readOpening verifies the client's preface byte by byte, so that another protocol is found at its
// first wrong byte (RFC 9113 section 3.4).
func (c *Conn) readOpening(b []byte) []byte {
	at := int(c.have)
	n := min(len(b), len(clientOpens)-at)
	if string(b[:n]) != clientOpens[at:at+n] {
		c.fail(ProtocolError, BadPreface, "the connection does not begin with the preface of HTTP/2")
		return nil
	}
	c.have += uint8(n)
	if int(c.have) == len(clientOpens) {
		c.have, c.reading = 0, readHeader
	}
	return b[n:]
}

// readFrame reads the header of a frame and judges it before a byte of its payload is kept.
func (c *Conn) readFrame(b []byte) []byte {
	if c.have == 0 && len(b) >= headerLen {
		c.f = parseFrame(b)
		b = b[headerLen:]
	} else {
		n := copy(c.header[c.have:], b)
		c.have += uint8(n)
		b = b[n:]
		if c.have < headerLen {
			return b
		}
		c.have = 0
		c.f = parseFrame(c.header[:])
	}
	c.begin()
	return b
}

func (c *Conn) begin() {
	if c.f.typ != frameContinuation {
		c.begun++
	}
	if !c.judge() {
		return
	}
	switch {
	case c.f.typ == frameData:
		c.beginData()
	case c.f.typ > frameContinuation: // section 4.1: ignored
		if c.charge(1) && c.f.length > 0 {
			c.dataLeft, c.reading = c.f.length, readSkip
		}
	case c.f.length == 0:
		c.handle(nil)
	default:
		c.reading = readPayload
	}
}

// readWhole gathers the payload of every frame but DATA. If it is whole in b it is not copied.
func (c *Conn) readWhole(b []byte) []byte {
	need := c.f.length - len(c.part)
	if len(c.part) == 0 && len(b) >= need {
		c.reading = readHeader
		c.handle(b[:need])
		return b[need:]
	}
	if c.part == nil {
		c.part = c.pool.buffer()
	}
	n := min(len(b), need)
	c.part = append(c.part, b[:n]...)
	if n == need {
		whole := c.part
		c.part, c.reading = nil, readHeader
		c.handle(whole)
		c.pool.putBuffer(whole)
	}
	return b[n:]
}

// sizes holds the length of frames that have only one.
var sizes = [...]int{framePriority: 5, frameReset: 4, framePing: 8, frameWindow: 4, frameContinuation: 0}

// judge checks what the header of a frame alone can break. It reports whether to go on.
func (c *Conn) judge() bool {
	f := &c.f
	switch {
	case c.first && (f.typ != frameSettings || f.has(flagAck)):
		c.fail(ProtocolError, BadPreface, "the first frame is not SETTINGS")
	case f.length > c.cfg.MaxFrame:
		c.fail(FrameSizeError, BadFrameSize, "a frame is larger than our MAX_FRAME_SIZE")
	case c.inBlock != (f.typ == frameContinuation) || c.inBlock && f.id != c.blockFrame.id:
		c.fail(ProtocolError, BadFrame, "CONTINUATION without HEADERS, or another frame within a header block")
	case f.typ <= frameContinuation && sizes[f.typ] != 0 && f.length != sizes[f.typ]:
		c.wrongSize()
	case !c.judgeStream():
		c.fail(ProtocolError, BadFrame, "a frame of the connection on a stream, or the other way round")
	}
	c.first = false
	return c.err == nil
}

// wrongSize: PRIORITY is the one frame for which a stream answers (RFC 9113 section 6.3), if there is one.
func (c *Conn) wrongSize() {
	if c.f.typ == framePriority {
		if s := c.lookup(c.f.id); s != nil {
			c.streamError(s, FrameSizeError, BadFrameSize)
			if c.err == nil {
				c.f.typ = frameContinuation + 1 // what is left of it is skipped
			}
			return
		}
	}
	c.fail(FrameSizeError, BadFrameSize, "a frame has a length that its type cannot have")
}

// judgeStream reports whether the frame may stand on its stream, 0 being the connection.
func (c *Conn) judgeStream() bool {
	switch c.f.typ {
	case frameData, frameHeaders, framePriority, frameReset, framePush, frameContinuation:
		return c.f.id != 0
	case frameSettings, framePing, frameGoAway:
		return c.f.id == 0
	}
	return true
}

// handle takes the whole payload of any frame but DATA.
func (c *Conn) handle(p []byte) {
	switch c.f.typ {
	case frameHeaders:
		c.handleHeaders(p)
	case frameContinuation:
		c.handleContinuation(p)
	case framePriority:
		c.handlePriority(p)
	case frameReset:
		c.handleReset(p)
	case frameSettings:
		c.handleSettings(p)
	case framePing:
		c.handlePing(p)
	case frameGoAway:
		c.handleGoAway(p)
	case frameWindow:
		c.handleWindow(p)
	case framePush: // a server must not get one; a client has refused them by ENABLE_PUSH
		c.fail(ProtocolError, BadFrame, "PUSH_PROMISE is not allowed here")
	}
}
