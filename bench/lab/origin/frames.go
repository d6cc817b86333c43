package origin

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 says so
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The frames of RFC 6455 that the lab needs: short, unfragmented.
const (
	OpText  = 1
	OpClose = 8
	OpPing  = 9
	OpPong  = 10
)

// Frame is one of them.
type Frame struct {
	Op      byte
	Payload []byte // at most 125 bytes when written
}

// mask is what our client masks with. It protects nobody here, and RFC 6455 5.3 wants one.
var mask = [4]byte{0x5a, 0x11, 0xc3, 0x7e}

// WriteFrame writes one frame in one piece; a client masks (RFC 6455 5.1).
func WriteFrame(w io.Writer, f Frame, client bool) error {
	if len(f.Payload) > 125 {
		return fmt.Errorf("frame of %d bytes: at most 125", len(f.Payload))
	}
	b := make([]byte, 0, 6+len(f.Payload))
	b = append(b, 0x80|f.Op, byte(len(f.Payload)))
	if client {
		b[1] |= 0x80
		b = append(b, mask[:]...)
		for i, c := range f.Payload {
			b = append(b, c^mask[i%4])
		}
	} else {
		b = append(b, f.Payload...)
	}
	_, err := w.Write(b)
	return err
}

// ReadFrame reads one. io.EOF is an end between two frames, io.ErrUnexpectedEOF one within.
func ReadFrame(in *bufio.Reader) (f Frame, err error) {
	first, err := in.ReadByte()
	if err != nil {
		return f, err
	}
	f.Op = first & 0x0f
	second, err := in.ReadByte()
	if err != nil {
		return f, within(err)
	}
	n := uint64(second & 0x7f)
	if n >= 126 {
		ext := make([]byte, 2)
		if n == 127 {
			ext = make([]byte, 8)
		}
		if _, err := io.ReadFull(in, ext); err != nil {
			return f, within(err)
		}
		if n = uint64(binary.BigEndian.Uint16(ext[len(ext)-2:])); len(ext) == 8 {
			n = binary.BigEndian.Uint64(ext)
		}
	}
	if n > 1<<20 {
		return f, fmt.Errorf("frame of %d bytes", n)
	}
	var key [4]byte
	if second&0x80 != 0 {
		if _, err := io.ReadFull(in, key[:]); err != nil {
			return f, within(err)
		}
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(in, f.Payload); err != nil {
		return f, within(err)
	}
	for i := range f.Payload {
		f.Payload[i] ^= key[i%4]
	}
	return f, nil
}

func within(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// acceptKey answers the handshake (RFC 6455 4.2.2).
func acceptKey(r *http.Request) (string, bool) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return "", false
	}
	return Accept(key), true
}

// Accept is the answer to a Sec-WebSocket-Key.
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}
