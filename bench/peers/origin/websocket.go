//go:build linux

package origin

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// What of RFC 6455 the harness needs: binary messages in one frame of 126 to 65,535 bytes each, which come masked and go back
// unmasked. Anything else ends the connection.
const (
	acceptKey    = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	binaryFrame  = 0x82
	masked       = 0x80
	length16     = 126
	frameHeader  = 4
	maskedHeader = frameHeader + 4
)

// upgrade answers the opening handshake.
func (s *server) upgrade(c *conn, key []byte) bool {
	c.kind = websocket
	sum := sha1.Sum(append(slices.Clone(key), acceptKey...))
	b := append(s.compose[:0], "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(base64.StdEncoding.AppendEncode(b, sum[:]), "\r\n\r\n"...)
	return s.send(c, b, nil)
}

// messages sends back every whole message; false: close.
func (s *server) messages(c *conn, b []byte) bool {
	if len(c.in) > 0 {
		b = append(c.in, b...)
		c.in = nil
	}
	out := s.compose[:0]
	for len(b) >= maskedHeader {
		if b[0] != binaryFrame || b[1] != masked|length16 {
			return false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < maskedHeader+n {
			break
		}
		mask := b[frameHeader:maskedHeader]
		out = append(out, b[0], length16, b[2], b[3])
		for i, x := range b[maskedHeader : maskedHeader+n] {
			out = append(out, x^mask[i&3])
		}
		b = b[maskedHeader+n:]
	}
	if len(b) > 0 {
		c.in = slices.Clone(b)
	}
	if len(out) == 0 {
		return true
	}
	return s.send(c, out, nil)
}
