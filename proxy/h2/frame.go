package h2

import "encoding/binary"

// The frame types of RFC 9113 section 6.
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindow
	frameContinuation
)

const (
	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	headerLen    = 9
	minMaxFrame  = 16 << 10 // the smallest MAX_FRAME_SIZE, and the largest frame that we send
	maxMaxFrame  = 1<<24 - 1
	maxStreamID  = 1<<31 - 1
	maxWindow    = 1<<31 - 1
	firstWindow  = 65535 // of a connection, and of streams until SETTINGS say otherwise
	clientOpens  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	defaultTable = 4096 // bytes of the HPACK table, RFC 9113 section 6.5.2
)

// frame is the header of a frame, RFC 9113 section 4.1.
type frame struct {
	length int
	typ    frameType
	flags  uint8
	id     uint32
}

// parseFrame reads a header from the nine bytes at the start of b.
func parseFrame(b []byte) frame {
	_ = b[8]
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		typ:    frameType(b[3]),
		flags:  b[4],
		id:     binary.BigEndian.Uint32(b[5:]) & maxStreamID,
	}
}

func (f frame) has(flag uint8) bool { return f.flags&flag != 0 }

func appendFrame(dst []byte, f frame) []byte {
	return append(dst, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.typ), f.flags,
		byte(f.id>>24), byte(f.id>>16), byte(f.id>>8), byte(f.id))
}

// appendWord appends a frame whose payload is one 32-bit number: RST_STREAM and WINDOW_UPDATE.
func appendWord(dst []byte, typ frameType, id, word uint32) []byte {
	dst = appendFrame(dst, frame{length: 4, typ: typ, id: id})
	return binary.BigEndian.AppendUint32(dst, word)
}

func appendPing(dst []byte, payload []byte, flags uint8) []byte {
	dst = appendFrame(dst, frame{length: 8, typ: framePing, flags: flags})
	return append(dst, payload...)
}

func appendGoAway(dst []byte, last uint32, code ErrorCode, debug string) []byte {
	dst = appendFrame(dst, frame{length: 8 + len(debug), typ: frameGoAway})
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// unpad cuts the Pad Length field and the padding off a payload, RFC 9113 section 6.1.
func unpad(p []byte) (rest []byte, ok bool) {
	if len(p) == 0 || int(p[0]) > len(p)-1 {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}
