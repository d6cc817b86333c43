package h2

// Preface is what a client's connection begins with, RFC 9113 section 3.4.
const Preface = clientOpens

// Queued is how many bytes of data all streams hold for want of a window, or of an Append.
func (c *Conn) Queued() (n int) {
	for _, s := range c.open {
		n += s.queue.n
	}
	return n
}

// Room is how many more streams a client may open now.
func (c *Conn) Room() int {
	if c.err != nil || c.peerLeft || c.left || c.Exhausted() {
		return 0
	}
	return max(0, int(min(c.peerStreams, maxStreamID))-len(c.open))
}

// Exhausted reports whether a client has used up the stream identifiers of the connection.
func (c *Conn) Exhausted() bool { return c.nextLocal > maxStreamID }
