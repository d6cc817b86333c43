package websocket_test

import (
	"encoding/binary"
	"math/rand/v2"
)

// The reference: it decodes a whole stream at once, from the pictures of RFC 6455 section 5.2,
// with none of the code that it judges.

// frame is one that was read.
type frame struct {
	first   byte // FIN, reserved bits, opcode
	masked  bool
	payload []byte // unmasked
	end     int    // where it ends in the stream
}

func (f frame) op() byte { return f.first & 15 }

// decode reads the frames of a stream. bad is set where something is no frame by section 5; rest
// is what is left of the last one.
func decode(b []byte, masked bool) (frames []frame, rest int, bad bool) {
	at, fragmented, closed := 0, false, false
	for at < len(b) {
		start := at
		need := func(n int) []byte {
			if at+n > len(b) {
				return nil
			}
			at += n
			return b[at-n : at]
		}
		h := need(2)
		if h == nil {
			return frames, len(b) - start, false
		}
		f := frame{first: h[0], masked: h[1] >= 128}
		n := uint64(h[1] % 128)
		var key []byte
		if n >= 126 {
			k := 2
			if n == 127 {
				k = 8
			}
			e := need(k)
			if e == nil {
				return frames, len(b) - start, false
			}
			n = 0
			for _, c := range e {
				n = n*256 + uint64(c)
			}
			if k == 2 && n < 126 || k == 8 && (n < 65536 || e[0] >= 128) {
				bad = true // told once the header is whole
			}
		}
		if f.masked {
			if key = need(4); key == nil {
				return frames, len(b) - start, false
			}
		}
		control, final := f.op() >= 8, f.first >= 128
		switch {
		case f.masked != masked, closed:
			bad = true
		case control && (!final || n > 125 || f.op() > 10):
			bad = true
		case !control && fragmented != (f.op() == 0):
			bad = true
		}
		if bad {
			return frames, 0, true
		}
		if !control {
			fragmented = !final
		}
		if uint64(len(b)-at) < n {
			return frames, len(b) - start, false
		}
		for i, c := range need(int(n)) {
			if key != nil {
				c ^= key[i&3]
			}
			f.payload = append(f.payload, c)
		}
		f.end = at
		closed = closed || f.op() == 8
		frames = append(frames, f)
	}
	return frames, 0, false
}

// encode writes one frame.
func encode(dst []byte, first byte, payload []byte, key *[4]byte) []byte {
	mask := byte(0)
	if key != nil {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, mask|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, mask|127), uint64(n))
	}
	if key == nil {
		return append(dst, payload...)
	}
	dst = append(dst, key[:]...)
	for i, c := range payload {
		dst = append(dst, c^key[i&3])
	}
	return dst
}

// talk is a stream as a peer may write it: messages, some in fragments, with control frames in
// between, of every kind of length.
func talk(r *rand.Rand, masked bool, messages int, closes bool) (b []byte) {
	key := func() *[4]byte {
		if !masked {
			return nil
		}
		k := [4]byte{}
		binary.BigEndian.PutUint32(k[:], r.Uint32())
		return &k
	}
	payload := func() []byte {
		sizes := []int{0, 1, 5, 125, 126, 127, 300, 1 << 16, 1<<16 - 1}
		p := make([]byte, sizes[r.IntN(len(sizes))])
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	for range messages {
		op := byte(1 + r.IntN(2))
		for k := r.IntN(4); k >= 0; k-- {
			if r.IntN(3) == 0 {
				b = encode(b, 0x89+byte(r.IntN(2)), payload()[:0], key())
			}
			first := op
			if k == 0 {
				first |= 0x80
			}
			if r.IntN(4) == 0 {
				first |= 0x40 // compressed
			}
			b = encode(b, first, payload(), key())
			op = 0
		}
	}
	if closes {
		b = encode(b, 0x88, []byte{3, 232}, key())
	}
	return b
}

// pieces cuts b at random places.
func pieces(r *rand.Rand, b []byte, most int) (out [][]byte) {
	for len(b) > 0 {
		k := min(len(b), 1+r.IntN(most))
		out, b = append(out, b[:k]), b[k:]
	}
	return out
}
