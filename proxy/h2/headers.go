package h2

import "encoding/binary"

// handleHeaders reads HEADERS, RFC 9113 section 6.2.
func (c *Conn) handleHeaders(p []byte) {
	f := c.f
	if f.id&1 == 0 || c.cfg.Client && c.idle(f.id) {
		c.fail(ProtocolError, BadStreamID, "HEADERS on a stream that its sender cannot open")
		return
	}
	if f.has(flagPadded) {
		rest, ok := unpad(p)
		if !ok {
			c.fail(ProtocolError, BadFrame, "more padding than payload")
			return
		}
		p = rest
	}
	self := false
	if f.has(flagPriority) {
		if len(p) < 5 {
			c.fail(FrameSizeError, BadFrameSize, "HEADERS too short for its priority")
			return
		}
		self = binary.BigEndian.Uint32(p)&maxStreamID == f.id
		p = p[5:]
	}
	if f.has(flagEndHeaders) {
		c.takeBlock(f, p, self)
		return
	}
	c.inBlock, c.blockFrame, c.blockSelf, c.pieces, c.empty = true, f, self, 0, 0
	c.block = append(c.pool.buffer(), p...)
}

// handleContinuation reads CONTINUATION, RFC 9113 section 6.10. Bytes and frames of a block are bounded: until
// it ends, nobody can know what it is (CVE-2023-45288 and its kin).
func (c *Conn) handleContinuation(p []byte) {
	c.pieces++
	if len(p) == 0 {
		c.empty++
	}
	if c.pieces > maxContinuations || c.empty > maxEmptyPieces || len(c.block)+len(p) > c.cfg.maxBlock() {
		c.fail(EnhanceYourCalm, BlockTooLarge, "a header block of too many bytes or frames")
		return
	}
	c.block = append(c.block, p...)
	if !c.f.has(flagEndHeaders) {
		return
	}
	block := c.block
	c.block, c.inBlock = nil, false
	c.takeBlock(c.blockFrame, block, c.blockSelf)
	c.pool.putBuffer(block)
}

// takeBlock decodes a whole header block, whatever it is for: the state of HPACK depends on each. f is its HEADERS frame, self
// says that its stream depends on itself (RFC 7540 section 5.3.1).
func (c *Conn) takeBlock(f frame, block []byte, self bool) {
	s := c.lookup(f.id)
	opens := s == nil && !c.cfg.Client && f.id > c.lastPeer
	list := c.pool.fields()
	defer c.pool.putFields(list)
	if !c.decode(list, block, s != nil && !s.recvEnd || opens && !c.ignored(f.id)) {
		return
	}
	end := f.has(flagEndStream)
	switch {
	case opens:
		c.opened(f.id, list, end, self)
	case s == nil:
		c.late()
	case s.recvEnd:
		c.streamError(s, StreamClosed, MalformedOrder)
	case self:
		c.streamError(s, ProtocolError, MalformedPriority)
	case !s.recvHead:
		c.response(s, list, end)
	case !end:
		c.streamError(s, ProtocolError, MalformedTrailers)
	default:
		c.gotTrailers(s, list)
	}
}

// opened is a request, of a server.
func (c *Conn) opened(id uint32, list *fieldList, end, self bool) {
	c.lastPeer = id
	if c.ignored(id) {
		c.charge(1)
		return
	}
	h, bad := message{length: -1}, Reason("")
	switch {
	case len(c.open) >= int(c.cfg.MaxStreams):
		c.refuse(id, RefusedStream, TooManyStreams)
		return
	case self:
		bad = MalformedPriority
	case !list.tooLarge:
		h, bad = list.request(c.cfg.ExtendedConnect)
		if bad == "" && end && h.length > 0 {
			bad = MalformedLength
		}
	}
	if bad != "" {
		c.refuse(id, ProtocolError, bad)
		return
	}
	s := c.add(id)
	s.recvHead, s.recvEnd, s.length, s.connect = true, end, h.length, h.connect
	if list.tooLarge {
		s.dropped, s.toHead = true, list.asksHead()
		c.ev.TooLarge(s)
		return
	}
	c.ev.Head(s, list.fields, end)
}

// response is an informational or final response, of a client.
func (c *Conn) response(s *Stream, list *fieldList, end bool) {
	if list.tooLarge {
		c.streamError(s, Cancel, ListTooLarge)
		return
	}
	h, bad := list.response()
	informs := bad == "" && h.status < 200
	accepted := s.connect && h.status >= 200 && h.status < 300
	bodiless := s.toHead || !accepted && (h.status == 204 || h.status == 304)
	switch {
	case bad != "":
	case informs && end:
		bad = MalformedOrder
	case end && h.length > 0 && !bodiless && !accepted:
		bad = MalformedLength
	}
	if bad != "" {
		c.streamError(s, ProtocolError, bad)
		return
	}
	if informs {
		c.ev.Interim(s, list.fields)
		return
	}
	s.recvHead, s.recvEnd, s.length, s.noBody = true, end, h.length, bodiless
	if bodiless || accepted {
		s.length = -1
	}
	s.connect = accepted
	id := s.id
	c.ev.Head(s, list.fields, end)
	if end && c.alive(s, id) {
		c.settle(s)
	}
}

// gotTrailers end a message, RFC 9113 section 8.1.
func (c *Conn) gotTrailers(s *Stream, list *fieldList) {
	if list.tooLarge {
		c.streamError(s, Cancel, ListTooLarge)
		return
	}
	bad := list.trailers()
	if s.connect { // RFC 9113 section 8.5: nothing but DATA
		bad = MalformedTrailers
	}
	if bad == "" && s.length >= 0 && s.got != s.length {
		bad = MalformedLength
	}
	if bad != "" {
		c.streamError(s, ProtocolError, bad)
		return
	}
	s.recvEnd = true
	id := s.id
	if !s.dropped {
		c.ev.Trailers(s, list.fields)
	}
	if c.alive(s, id) {
		c.settle(s)
	}
}

// handlePriority ignores PRIORITY, which RFC 9113 section 5.3.2 has deprecated, but for what is an error in it.
func (c *Conn) handlePriority(p []byte) {
	if !c.charge(1) || binary.BigEndian.Uint32(p)&maxStreamID != c.f.id {
		return
	}
	switch s := c.lookup(c.f.id); {
	case s != nil:
		c.streamError(s, ProtocolError, MalformedPriority)
	case c.idle(c.f.id): // it has no stream that an error could end
		c.fail(ProtocolError, BadFrame, "a stream that depends on itself")
	}
}

// handleReset reads RST_STREAM, RFC 9113 section 6.4.
func (c *Conn) handleReset(p []byte) {
	id := c.f.id
	if c.idle(id) {
		c.fail(ProtocolError, BadStreamID, "RST_STREAM on a stream that was never opened")
		return
	}
	s := c.lookup(id)
	if s == nil { // it crossed the end of the stream
		c.charge(1)
		return
	}
	code := ErrorCode(binary.BigEndian.Uint32(p))
	early := !s.sentEnd && c.now-s.born < rapid
	c.end(s, closedByPeer, Cause{Code: code, Unprocessed: code == RefusedStream})
	if early {
		c.chargeReset()
	}
}
