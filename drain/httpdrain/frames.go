package httpdrain

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// frameHeader is the size of the head of a frame (RFC 9113 section 4.1).
const frameHeader = 9

// frame is the head of a frame.
type frame struct {
	length uint32
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

// frames cuts one direction of a connection into frames, from any pieces. The zero value is
// at the beginning.
type frames struct {
	preface int // bytes of the client's preface that are still to come
	head    [frameHeader]byte
	have    int // bytes of head
	frame   frame
	left    uint32 // bytes of the payload that are still to come
	payload [8]byte
	peeked  int  // bytes of payload that are kept
	headers bool // a header block goes on in the next frame
}

// scan takes the next piece and calls each for every frame that is complete by it, with the
// first 8 bytes of its payload.
func (s *frames) scan(b []byte, each func(f frame, payload []byte)) {
	for len(b) > 0 {
		if s.preface > 0 {
			n := min(s.preface, len(b))
			s.preface -= n
			b = b[n:]
			continue
		}
		if s.have < frameHeader {
			n := copy(s.head[s.have:], b)
			s.have += n
			b = b[n:]
			if s.have < frameHeader {
				return
			}
			s.begin()
		} else {
			n := min(int(s.left), len(b))
			s.peeked += copy(s.payload[s.peeked:], b[:n])
			s.left -= uint32(n)
			b = b[n:]
		}
		if s.left == 0 {
			s.have = 0
			each(s.frame, s.payload[:s.peeked])
		}
	}
}

func (s *frames) begin() {
	h := s.head
	s.frame = frame{
		length: uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]),
		kind:   http2.FrameType(h[3]), flags: http2.Flags(h[4]),
		stream: binary.BigEndian.Uint32(h[5:]) &^ (1 << 31),
	}
	s.left, s.peeked = s.frame.length, 0
	switch s.frame.kind {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		s.headers = !s.frame.flags.Has(http2.FlagHeadersEndHeaders)
	}
}

// between reports whether another frame may come here: the last one is complete, and so is
// its header block (RFC 9113 section 6.10).
func (s *frames) between() bool { return s.have == 0 && !s.headers }

// appendFrame appends a frame of stream 0 without flags.
func appendFrame(b []byte, kind http2.FrameType, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(kind), 0, 0, 0, 0, 0)
	return append(b, payload...)
}
