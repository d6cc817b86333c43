package proxy

import (
	"encoding/binary"
	"encoding/hex"
)

// requestID names one exchange in logs, answers and at the upstream.
type requestID struct {
	buf [64]byte
	n   uint8
}

func (id *requestID) bytes() []byte { return id.buf[:id.n] }

// choose keeps the ID that a trusted hop sent, if it is one plain word, and makes a
// random one of 128 bits otherwise.
func (id *requestID) choose(l *loop, trusted bool) {
	if trusted {
		if v, n := l.req.Field("x-request-id"); n == 1 && plainWord(v) && len(v) <= len(id.buf) {
			id.n = uint8(copy(id.buf[:], v))
			return
		}
	}
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:8], l.rnd.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], l.rnd.Uint64())
	hex.Encode(id.buf[:32], raw[:])
	id.n = 32
}

func plainWord(v []byte) bool {
	for _, c := range v {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return len(v) > 0
}
