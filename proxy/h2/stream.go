package h2

import "time"

// Stream is one request and its response. It is dead, and must not be used any more, after its last event
// (see [Events]), after [Stream.Reset], and after the end of its connection.
type Stream struct {
	Owner any // the caller's

	c  *Conn // nil in the pool
	id uint32

	// Flow control. send may be negative (RFC 9113 section 6.9.2), recv too before our SETTINGS are acknowledged.
	recv, recvBack int32
	send           int32
	unconsumed     int32 // bytes that were shown and not consumed

	born   time.Duration // when it was opened
	length int64         // Content-Length of what comes; -1 without
	got    int64         // bytes of the body so far

	recvHead bool // the request, or the final response, came
	recvEnd  bool
	sentHead bool
	sentEnd  bool // it left by Append
	noBody   bool // of a response: to HEAD, 204, 304
	toHead   bool // of a request: HEAD
	connect  bool // it is, or is to become, a tunnel: CONNECT
	dropped  bool // what comes is dropped
	gone     bool // its last event is being called
	full     bool // Room is owed

	finish   finish
	queue    chunks
	trailers fieldCopy // to be sent behind the queue

	prev, next *Stream // in Conn.ready
	isReady    bool
}

// finish says how the queue ends.
type finish uint8

const (
	finishNot finish = iota
	finishData
	finishTrailers
)

// ID is the stream identifier.
func (s *Stream) ID() uint32 { return s.id }

// Length is the Content-Length of the message that comes, -1 if it has none.
func (s *Stream) Length() int64 { return s.length }

// Queued is the number of bytes that wait for a window, or for Append. Who finds more than its high water
// stops writing until Room.
func (s *Stream) Queued() int { return s.queue.n }

// ToHEAD reports whether the request is HEAD: of a client, and of a server in TooLarge.
func (s *Stream) ToHEAD() bool { return s.toHead }

// Received reports whether the peer's message is whole.
func (s *Stream) Received() bool { return s.recvEnd }

// Sent reports whether our message is whole and left by Append.
func (s *Stream) Sent() bool { return s.sentEnd }

// Unconsumed is the number of bytes that were shown and not consumed: what stays away from the peer's window.
func (s *Stream) Unconsumed() int { return int(s.unconsumed) }

// Blocked reports whether data waits because the peer gives no window. Ever so long is for the caller to bound.
func (s *Stream) Blocked() bool {
	return s.queue.n > 0 && s.c != nil && (s.send <= 0 || s.c.send <= 0)
}

// unusable reports whether nothing can be sent on s any more.
func (s *Stream) unusable() bool { return s.c == nil || s.gone || s.c.err != nil }

// Interim sends an informational response (1xx) of a server.
func (s *Stream) Interim(fields []Field) {
	if s.unusable() {
		return
	}
	if s.sentHead {
		panic("BUG: h2: an informational response after the final one")
	}
	s.c.sendHead(s.id, fields, false)
}

// Head sends the final response head of a server, with :status first. end: no body and no trailers follow.
func (s *Stream) Head(fields []Field, end bool) {
	if s.unusable() {
		return
	}
	if s.sentHead {
		panic("BUG: h2: a second head")
	}
	s.sentHead = true
	s.c.sendHead(s.id, fields, end)
	if end {
		s.ended(finishData)
	}
}

// Write queues a copy of b; end: it is the last. It never refuses: the caller looks at [Stream.Queued].
func (s *Stream) Write(b []byte, end bool) {
	if s.unusable() {
		return
	}
	if !s.sentHead || s.finish != finishNot {
		panic("BUG: h2: data before the head or after the end")
	}
	c := s.c
	s.queue.write(c.pool, b)
	if s.queue.n > c.cfg.LowWater {
		s.full = true
	}
	if end {
		s.finish = finishData
		if s.queue.n == 0 {
			c.queue(appendFrame(c.outgoing(), frame{typ: frameData, flags: flagEndStream, id: s.id}))
			s.ended(finishData)
			return
		}
	}
	c.makeReady(s)
}

// Trailers ends our message with fields, without pseudo-fields. They leave behind all data.
func (s *Stream) Trailers(fields []Field) {
	if s.unusable() {
		return
	}
	if !s.sentHead || s.finish != finishNot {
		panic("BUG: h2: trailers before the head or after the end")
	}
	s.finish = finishTrailers
	if s.queue.n > 0 {
		s.trailers.set(fields)
		return
	}
	s.c.sendHead(s.id, fields, true)
	s.ended(finishTrailers)
}

// ended notes that the end of our message is in Conn.out.
func (s *Stream) ended(how finish) {
	s.finish = how
	s.c.ending = append(s.c.ending, ending{s, s.id})
}

// ending is a stream as it was when its last frame was queued.
type ending struct {
	s  *Stream
	id uint32
}

// Reset ends the stream at once; what is queued is not sent, and no event follows. s is dead then.
func (s *Stream) Reset(code ErrorCode) {
	if s.unusable() {
		return
	}
	c := s.c
	c.sendReset(s.id, code)
	c.drop(s, closedByUs)
	c.release(s)
}

// Unended reports whether the peer has sent as much as its Content-Length says, and not the end of its message yet. While the
// frame comes that holds the end it is false.
func (s *Stream) Unended() bool {
	c := s.c
	return s.length >= 0 && s.got == s.length && !s.recvEnd && !(c.reading == readData && c.current() == s && c.f.has(flagEndStream))
}

// Discard says that nobody wants the rest of the peer's message: it is dropped and given back to the windows. When our
// message has left, the stream is reset with NO_ERROR (RFC 9113 section 8.1) and is Done. This is how a server answers early.
func (s *Stream) Discard() {
	if s.unusable() || s.dropped {
		return
	}
	s.dropped = true
	n := int(s.unconsumed)
	s.unconsumed = 0
	s.c.giveBack(s, n)
	if s.sentEnd {
		s.c.settle(s)
	}
}

// add makes the stream known.
func (c *Conn) add(id uint32) *Stream {
	s := c.pool.stream()
	s.c, s.id, s.length, s.born = c, id, -1, c.now
	s.recv, s.send = c.streamRecv, c.streamSend
	c.ids = append(c.ids, id)
	c.open = append(c.open, s)
	return s
}

// drop takes the stream out of everything. It lives until release, for its last event.
func (c *Conn) drop(s *Stream, how closing) {
	for i := len(c.ids) - 1; i >= 0; i-- {
		if c.ids[i] == s.id {
			last := len(c.ids) - 1
			c.ids[i], c.open[i] = c.ids[last], c.open[last]
			c.open[last] = nil
			c.ids, c.open = c.ids[:last], c.open[:last]
			break
		}
	}
	c.closed.add(s.id, how)
	c.ready.remove(s)
	s.queue.clear(c.pool)
	s.gone = true
	n := int(s.unconsumed)
	s.unconsumed = 0
	c.giveBack(nil, n)
}

func (c *Conn) release(s *Stream) { c.pool.putStream(s) }

// settle ends the stream if both messages are whole, or ours is and nobody wants the other.
func (c *Conn) settle(s *Stream) {
	switch {
	case s.recvEnd && s.sentEnd:
		c.earnStream()
		c.drop(s, closedEnded)
	case s.sentEnd && s.dropped:
		c.sendReset(s.id, NoError)
		c.drop(s, closedByUs)
	default:
		return
	}
	c.ev.Done(s)
	c.release(s)
}

func (c *Conn) sendReset(id uint32, code ErrorCode) {
	c.queue(appendWord(c.outgoing(), frameReset, id, uint32(code)))
}

// streamError ends a stream for what the peer did, RFC 9113 section 5.4.2.
func (c *Conn) streamError(s *Stream, code ErrorCode, why Reason) {
	c.sendReset(s.id, code)
	c.owe(headerLen + 4)
	c.end(s, closedByUs, Cause{Code: code, Local: true, Reason: why})
	c.chargeReset()
}

// refuse answers a request that is not shown.
func (c *Conn) refuse(id uint32, code ErrorCode, why Reason) {
	c.sendReset(id, code)
	c.owe(headerLen + 4)
	c.closed.add(id, closedByUs)
	c.ev.Refused(id, why)
	c.chargeReset()
}

func (c *Conn) end(s *Stream, how closing, why Cause) {
	c.drop(s, how)
	c.ev.Reset(s, why)
	c.release(s)
}
