package h2

// sendHead queues a header block of any kind.
func (c *Conn) sendHead(id uint32, fields []Field, end bool) {
	enc := c.encoder()
	out := c.outgoing()
	at := len(out)
	f := frame{typ: frameHeaders, flags: flagEndHeaders, id: id}
	if end {
		f.flags |= flagEndStream
	}
	enc.begin(appendFrame(out, f))
	for i := range fields {
		enc.field(&fields[i])
	}
	out, enc.out = enc.out, nil
	c.queue(cutBlock(out, at, f))
}

// encoder is the HPACK state of what we send, which is made when it is needed.
func (c *Conn) encoder() *encoder {
	if c.enc == nil {
		c.enc = newEncoder(c.pool.vocabulary(), c.peerTable)
	}
	return c.enc
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
