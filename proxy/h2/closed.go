package h2

// How a stream came to its end decides what a late frame on it means, RFC 9113 section 5.1.
type closing uint8

const (
	neverOpened  closing = iota // an ID that was passed over
	forgotten                   // too long ago to know
	closedEnded                 // both sides sent END_STREAM: nothing may come any more
	closedByUs                  // we sent RST_STREAM, which the peer may not have seen yet
	closedByPeer                // the peer sent RST_STREAM: nothing may come any more
)

const closedMemory = 64 // streams that are remembered after their end

type closedStream struct {
	id  uint32
	how closing
}

// closedStreams remembers the last streams that ended. The zero value is empty.
type closedStreams struct {
	ring   []closedStream
	next   int
	forgot uint32 // the highest ID that fell out
}

func (m *closedStreams) add(id uint32, how closing) {
	if len(m.ring) < closedMemory {
		m.ring = append(m.ring, closedStream{id, how})
		return
	}
	m.forgot = max(m.forgot, m.ring[m.next].id)
	m.ring[m.next] = closedStream{id, how}
	m.next = (m.next + 1) % closedMemory
}

func (m *closedStreams) find(id uint32) closing {
	for i := range m.ring {
		if m.ring[i].id == id {
			return m.ring[i].how
		}
	}
	if id <= m.forgot {
		return forgotten
	}
	return neverOpened
}

// late judges DATA or a header block on a stream that is not open, and not idle. It reports whether the
// connection lives on; what came is dropped then.
func (c *Conn) late() bool {
	id := c.f.id
	how := c.closed.find(id)
	if c.ignored(id) {
		how = closedByUs
	}
	switch how {
	case closedByUs: // a window of it may be on its way, which is no flood
		if c.f.typ != frameData || c.f.length < smallLate {
			c.charge(1)
		}
	case closedEnded:
		c.fail(StreamClosed, BadStreamID, "a frame on a stream that both sides have ended")
	case neverOpened:
		c.fail(ProtocolError, BadStreamID, "a stream below the last one that was opened")
	case closedByPeer, forgotten:
		if c.charge(1) {
			c.sendReset(id, StreamClosed)
			c.owe(headerLen + 4)
		}
	}
	return c.err == nil
}

const smallLate = 256 // bytes of late DATA below which it is charged
