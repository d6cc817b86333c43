//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
)

// Messages of WebSocket (RFC 6455): each in one binary frame of the 16-bit length, which proxies pass on as it is.
const (
	opening     = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
	short       = 125 // the longest message of another header
	frameHeader = 4
)

// frameHead is the header of an unmasked frame of so many bytes.
func frameHead(n int) [frameHeader]byte {
	return [frameHeader]byte{0x82, 126, byte(n >> 8), byte(n)}
}

// opened takes the answer to the opening handshake, in n bytes of b, and sends the first message.
func (c *client) opened(k *conn, b []byte, n int) {
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) || len(b) > n {
		c.drop(k, fmt.Errorf("answered %.60q to the handshake, and %d bytes", b, len(b)-n))
		return
	}
	k.open, k.step = true, ready
	c.busy-- // begin counts it again
	c.begin(k, time.Now())
}

// message appends the next message, masked by a key that differs from one to the next.
func (c *client) message(b []byte, k *conn) []byte {
	k.want, k.step = int64(frameHeader+c.Size), content
	head := frameHead(c.Size)
	head[1] |= 0x80
	b = binary.BigEndian.AppendUint32(append(b, head[:]...), uint32(c.nextID*0x9e3779b1))
	mask, at := b[len(b)-4:], len(b)
	b = append(append(b, k.id[:]...), c.pattern[body.IDLen:c.Size]...)
	for i := range b[at:] {
		b[at+i] ^= mask[i&3]
	}
	return b
}

// rightMessage compares a piece of the frame that comes back.
func (c *client) rightMessage(k *conn, b []byte) bool {
	at := int(k.at)
	if at < frameHeader {
		head := frameHead(c.Size)
		n := min(len(b), frameHeader-at)
		if !bytes.Equal(b[:n], head[at:at+n]) {
			return false
		}
		b, at = b[n:], at+n
	}
	return body.Equal(c.pattern, b, at-frameHeader, &k.id)
}
