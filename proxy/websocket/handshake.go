package websocket

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 asks for it; nothing secret depends on it
	"encoding/base64"
)

// Version is the version of the protocol (RFC 6455 section 4.1), as Sec-WebSocket-Version has it.
const Version = "13"

// keyLen is the length of a Sec-WebSocket-Key: 16 bytes in base64.
const keyLen = 24

// AppendKey appends the Sec-WebSocket-Key of 16 random bytes (RFC 6455 section 4.1).
func AppendKey(dst []byte, random [16]byte) []byte {
	return base64.StdEncoding.AppendEncode(dst, random[:])
}

// ValidKey reports whether a Sec-WebSocket-Key is one.
func ValidKey(key []byte) bool {
	var b [keyLen]byte
	if len(key) != keyLen {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], key)
	return err == nil && n == 16
}

// AppendAccept appends the Sec-WebSocket-Accept that answers a key (RFC 6455 section 4.2.2).
func AppendAccept(dst, key []byte) []byte {
	h := sha1.New() //nolint:gosec // see above
	h.Write(key)
	h.Write([]byte("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.AppendEncode(dst, h.Sum(nil))
}
