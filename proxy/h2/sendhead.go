package h2

// sendHead queues a header block of any kind.
func (c *Conn) sendHead(id uint32, fields []Field, end bool) {
	if c.enc == nil {
		c.enc = newEncoder(c.pool.vocabulary(), c.peerTable)
	}
	out := c.outgoing()
	at := len(out)
	f := frame{typ: frameHeaders, flags: flagEndHeaders, id: id}
	if end {
		f.flags |= flagEndStream
	}
	c.enc.begin(appendFrame(out, f))
	for i := range fields {
		c.enc.field(&fields[i])
	}
	out, c.enc.out = c.enc.out, nil
	c.queue(cutBlock(out, at, f))
}

// cutBlock writes the length of the block that starts with f at out[at:], and makes CONTINUATION frames of what is
// too long for one frame.
func cutBlock(out []byte, at int, f frame) []byte {
	n := len(out) - at - headerLen
	if n <= minMaxFrame {
		out[at], out[at+1], out[at+2] = byte(n>>16), byte(n>>8), byte(n)
		return out
	}
	block := append([]byte(nil), out[at+headerLen:]...)
	out = out[:at]
	f.flags &^= flagEndHeaders
	for len(block) > 0 {
		f.length = min(len(block), minMaxFrame)
		if f.length == len(block) {
			f.flags |= flagEndHeaders
		}
		out = append(appendFrame(out, f), block[:f.length]...)
		block = block[f.length:]
		f.typ, f.flags = frameContinuation, 0
	}
	return out
}
