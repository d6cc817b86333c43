package h2

import "encoding/binary"

// The first byte of a PING's payload says what it is for; the rest is constant.
const (
	pingNotice = "n: drain"
	pingAlive  = "a: alive"
)

// Notice announces that the connection will be left: GOAWAY with the highest stream that there can be, and a PING behind it
// (RFC 9113 section 6.8). Everything is still served. When NoticeAcked comes, no stream that the peer opened before it knew is
// on its way any more, and [Conn.Leave] refuses nobody who could not know.
func (c *Conn) Notice() {
	if c.err != nil || c.left || c.noticed {
		return
	}
	c.noticed, c.noticePing = true, true
	c.queue(appendPing(appendGoAway(c.outgoing(), maxStreamID, NoError, ""), []byte(pingNotice), 0))
}

// Leave sends the final GOAWAY. Streams that the peer opens from now on are ignored: it knows that nothing
// happened to them. The owner closes the connection when Streams is 0 and Wants is false.
func (c *Conn) Leave() {
	if c.err != nil || c.left {
		return
	}
	c.left, c.leftAt = true, c.lastPeer
	c.queue(appendGoAway(c.outgoing(), c.lastPeer, NoError, ""))
}

// Left reports whether Leave was called.
func (c *Conn) Left() bool { return c.left }

// PeerLeft reports whether the peer sent GOAWAY: a client opens nothing here any more.
func (c *Conn) PeerLeft() bool { return c.peerLeft }

// lastProcessed is the stream that a GOAWAY names.
func (c *Conn) lastProcessed() uint32 {
	if c.left {
		return c.leftAt
	}
	return c.lastPeer
}

// Ping asks the peer whether it is there; Pong is the answer. It reports false if one is on its way already.
func (c *Conn) Ping() bool {
	if c.err != nil || c.alivePing {
		return false
	}
	c.alivePing = true
	c.queue(appendPing(c.outgoing(), []byte(pingAlive), 0))
	return true
}

// handlePing reads PING, RFC 9113 section 6.7.
func (c *Conn) handlePing(p []byte) {
	if !c.charge(1) {
		return
	}
	if !c.f.has(flagAck) {
		c.queue(appendPing(c.outgoing(), p, flagAck))
		c.owe(headerLen + 8)
		return
	}
	switch {
	case c.noticePing && string(p) == pingNotice:
		c.noticePing = false
		c.control.earn(c.cfg.Floods.Control, 1)
		c.ev.NoticeAcked()
	case c.alivePing && string(p) == pingAlive:
		c.alivePing = false
		c.control.earn(c.cfg.Floods.Control, 1)
		c.ev.Pong()
	}
}

// handleGoAway reads GOAWAY, RFC 9113 section 6.8.
func (c *Conn) handleGoAway(p []byte) {
	if len(p) < 8 {
		c.fail(FrameSizeError, BadFrameSize, "a GOAWAY of fewer than eight bytes")
		return
	}
	if !c.charge(1) {
		return
	}
	last := binary.BigEndian.Uint32(p) & maxStreamID
	code := ErrorCode(binary.BigEndian.Uint32(p[4:]))
	if c.peerLeft {
		last = min(last, c.peerLeftAt) // it must not rise
	}
	c.peerLeft, c.peerLeftAt = true, last
	if c.cfg.Client {
		for s := c.above(last); s != nil && c.err == nil; s = c.above(last) {
			c.end(s, closedByUs, Cause{Code: code, Unprocessed: true})
		}
	}
	if c.err == nil {
		c.ev.GoAway(last, code, p[8:])
	}
}

// above finds an open stream above last. The peer knows nothing of it.
func (c *Conn) above(last uint32) *Stream {
	for i, id := range c.ids {
		if id > last {
			return c.open[i]
		}
	}
	return nil
}
