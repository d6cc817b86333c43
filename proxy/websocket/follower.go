package websocket

import "encoding/binary"

// Opcodes (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opControl      = 0x8 // this bit is set in control frames
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// maxHeader is the longest header of a frame, and maxControl the longest payload of a control
// frame (section 5.5).
const (
	maxHeader  = 14
	maxControl = 125
)

// Follower knows where the frames of one direction begin and end. The zero value stands before
// the first frame of a server; Masked says that it is a client's.
type Follower struct {
	Masked bool // whether frames have to be masked (section 5.1)

	head   [maxHeader]byte
	have   uint8  // bytes of head
	op     uint8  // of the frame that is under way
	inside bool   // the header is complete, left is to come
	open   bool   // a fragmented message has begun and not ended
	closed bool   // a Close frame went by, whole
	lost   bool   // what came were no frames
	left   uint64 // payload bytes
}

// Next consumes the front of b: up to the end of the first frame that ends in it (end is true),
// or all of it.
func (f *Follower) Next(b []byte) (n int, end bool) {
	if f.lost {
		return len(b), false
	}
	if !f.inside {
		for n < len(b) && !f.complete() {
			f.head[f.have] = b[n]
			f.have++
			n++
		}
		if !f.complete() {
			return n, false
		}
		if f.begin(); f.lost {
			return len(b), false
		}
	}
	take := min(f.left, uint64(len(b)-n))
	return n + int(take), f.Skip(take)
}

// Skip says that n bytes of the payload went by unseen; n is at most Remaining. It reports
// whether the frame ended with them.
func (f *Follower) Skip(n uint64) (end bool) {
	if !f.inside || n > f.left {
		panic("BUG: websocket: skipped past the end of a frame")
	}
	if f.left -= n; f.left > 0 {
		return false
	}
	f.inside = false
	f.closed = f.closed || f.op == opClose
	return true
}

// Remaining is how many payload bytes of the frame under way are still to come; 0 at a
// boundary, and within a header.
func (f *Follower) Remaining() uint64 {
	if f.inside {
		return f.left
	}
	return 0
}

// Boundary reports whether what came ends with a frame, or nothing came yet: here a control
// frame may be sent, also between the fragments of a message (section 5.4).
func (f *Follower) Boundary() bool { return !f.lost && !f.inside && f.have == 0 }

// Closed reports whether a whole Close frame went by.
func (f *Follower) Closed() bool { return f.closed }

// Lost reports whether what came were no frames. Then nothing else is known of this direction
// any more.
func (f *Follower) Lost() bool { return f.lost }

// complete reports whether head holds a whole header.
func (f *Follower) complete() bool { return f.have >= 2 && int(f.have) == f.headerLen() }

// headerLen is the length of a header whose first two bytes are there.
func (f *Follower) headerLen() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin takes the header that is complete, unless it is none.
func (f *Follower) begin() {
	first, second := f.head[0], f.head[1]
	f.have = 0
	f.op = first & 0xf
	fin, minimal := first&0x80 != 0, true
	switch f.left = uint64(second & 0x7f); f.left {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
		minimal = f.left >= 126
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
		minimal = f.left > 0xffff && f.left>>63 == 0
	}
	ok := minimal && second&0x80 != 0 == f.Masked && !f.closed
	switch {
	case f.op&opControl != 0:
		ok = ok && fin && f.left <= maxControl && f.op <= opPong
	default:
		ok = ok && f.open == (f.op == opContinuation)
		f.open = !fin
	}
	f.inside, f.lost = ok, !ok
}
