package h2

// Wants reports whether Append would give something.
func (c *Conn) Wants() bool {
	return len(c.out) > 0 || c.err == nil && (c.updateDue || c.ready.first != nil && c.send > 0)
}

// Append appends what is to be sent now: first all control frames and heads, then data of the streams that have
// a window, a frame each in turn. It stops at about size bytes: control frames are never cut, and
// a frame of data is not made tiny to fit. Done and Room are called from here.
func (c *Conn) Append(dst []byte, size int) []byte {
	begin := len(dst)
	dst = c.flush(dst)
	for c.err == nil && c.ready.first != nil && c.send > 0 {
		room := size - (len(dst) - begin) - headerLen
		if room < smallest && len(dst) > begin {
			break
		}
		dst = c.turn(dst, max(room, smallest))
		dst = c.flush(dst)
	}
	return dst
}

const smallest = 512 // bytes below which a frame of data waits for the next Append

// turn sends one frame of data of the stream whose turn it is.
func (c *Conn) turn(dst []byte, room int) []byte {
	s := c.ready.first
	c.ready.remove(s)
	n := min(s.queue.n, int(s.send), int(c.send), minMaxFrame, room)
	f := frame{length: n, typ: frameData, id: s.id}
	last := n == s.queue.n
	if last && s.finish == finishData {
		f.flags = flagEndStream
	}
	dst = s.queue.read(c.pool, appendFrame(dst, f), n)
	s.send -= int32(n)
	c.send -= int32(n)
	c.earnData(n, !last && n < room)
	switch {
	case !last:
		c.makeReady(s)
	case s.finish == finishData:
		s.ended(finishData)
	case s.finish == finishTrailers:
		c.sendHead(s.id, s.trailers.fields, true)
		s.trailers.clear()
		s.ended(finishTrailers)
	}
	if s.full && s.queue.n <= c.cfg.LowWater || s.connect && last && !s.gone {
		s.full = false
		c.ev.Room(s)
	}
	return dst
}

// flush moves all of out to dst. What ended with it is sent.
func (c *Conn) flush(dst []byte) []byte {
	if c.updateDue && c.err == nil {
		c.updateConn()
	}
	if len(c.out) > 0 {
		dst = append(dst, c.out...)
		c.pool.putBuffer(c.out)
		c.out, c.owed = nil, 0
	}
	if len(c.ending) > 0 {
		c.settleEnded()
	}
	return dst
}

// settleEnded ends the streams whose last frame has left. An event may end more streams: those are in the
// list behind, and their frames in out, so they wait for the next flush.
func (c *Conn) settleEnded() {
	n := len(c.ending)
	for i := 0; i < n && c.err == nil; i++ {
		s := c.ending[i].s
		if !c.alive(s, c.ending[i].id) {
			continue // it was reset meanwhile
		}
		s.sentEnd = true
		c.settle(s)
	}
	rest := copy(c.ending, c.ending[n:])
	clear(c.ending[rest:])
	c.ending = c.ending[:rest]
	if rest == 0 && cap(c.ending) > 16 {
		c.ending = nil
	}
}

// makeReady gives the stream a turn if it has data and a window.
func (c *Conn) makeReady(s *Stream) {
	if !s.isReady && s.queue.n > 0 && s.send > 0 {
		c.ready.push(s)
	}
}

// Trailing is how many of the bytes that Append gave last, frames, stand behind the last one that tells of a
// stream's message: of a connection that broke there, nobody lost anything by them. whole: all of them.
func Trailing(out []byte) (n int, whole bool) {
	n = len(out)
	for rest := out; len(rest) >= headerLen; {
		f := parseFrame(rest)
		rest = rest[min(len(rest), headerLen+f.length):]
		switch f.typ {
		case frameData, frameHeaders, frameContinuation, framePush, frameReset:
			n = len(rest)
		case framePriority, frameSettings, framePing, frameGoAway, frameWindow:
		}
	}
	return n, n == len(out)
}
