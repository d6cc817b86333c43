package tlslayer

import "encoding/binary"

// The first message of a client is complete before a goroutine is spent on it: whoever sends
// half of one and waits costs a buffer.

const (
	recordHeader    = 5
	maxRecord       = 1 << 14 // of plaintext, RFC 8446 section 5.1
	typeHandshake   = 22
	typeClientHello = 1
	messageHeader   = 4
	maxHello        = 18 << 10 // of the connection's first bytes: two records' worth of headers, one of hello
)

// whole reports whether b holds a ClientHello to its end; not TLS if b cannot become one.
func whole(b []byte) (complete, notTLS bool) {
	message := 0          // bytes of the message so far
	var head []byte       // its header, which may be split
	need := messageHeader // of the message
	for len(b) > 0 {
		if b[0] != typeHandshake || len(b) > 1 && b[1] != 3 {
			return false, true
		}
		if len(b) < recordHeader {
			return false, false
		}
		n := int(binary.BigEndian.Uint16(b[3:]))
		if n == 0 || n > maxRecord {
			return false, true
		}
		got := b[recordHeader:min(len(b), recordHeader+n)]
		if len(head) < messageHeader {
			head = append(head, got[:min(len(got), messageHeader-len(head))]...)
			if len(head) > 0 && head[0] != typeClientHello {
				return false, true
			}
			if len(head) == messageHeader {
				need += int(head[1])<<16 | int(head[2])<<8 | int(head[3])
			}
		}
		if message += len(got); message >= need && len(head) == messageHeader {
			return true, false
		}
		if len(got) < n {
			return false, false
		}
		b = b[recordHeader+n:]
	}
	return false, false
}
