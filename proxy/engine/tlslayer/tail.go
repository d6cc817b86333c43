package tlslayer

// tail is how the last of what was sent was sealed, so that bytes of the wire which did not arrive can be told in
// bytes of the handler's. The zero value: nothing was sent.
type tail struct {
	sent [4]sealed // a ring; what is older counts byte for byte
	next uint8
}

// sealed is what one call sent: plain bytes of the handler's, none in an alert or a handshake message.
type sealed struct{ wire, plain int32 }

func (t *tail) note(wire, plain int) {
	t.sent[t.next] = sealed{int32(wire), int32(plain)}
	t.next = (t.next + 1) % uint8(len(t.sent))
}

// plain is how many bytes of the handler's are among the last n of the wire.
func (t *tail) plain(n int64) (plain int64) {
	for i := range t.sent {
		s := t.sent[(int(t.next)+len(t.sent)-1-i)%len(t.sent)]
		if n < int64(s.wire) {
			return plain + min(n, int64(s.plain))
		}
		n -= int64(s.wire)
		plain += int64(s.plain)
	}
	return plain + n
}
