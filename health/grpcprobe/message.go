package grpcprobe

import (
	"encoding/binary"
	"errors"
	"io"
)

// The two messages of the service are too small for a library: HealthCheckRequest{string service = 1} and
// HealthCheckResponse{ServingStatus status = 1}.

var (
	errMessage  = errors.New("the request is no HealthCheckRequest")
	errCompress = errors.New("compressed requests are not read here")
)

// readRequest reads one message with its prefix of five bytes, and returns the service it asks about.
func readRequest(r io.Reader) (service string, err error) {
	var prefix [5]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return "", errMessage
	}
	n := binary.BigEndian.Uint32(prefix[1:])
	switch {
	case prefix[0] != 0:
		return "", errCompress
	case n > MaxMessage:
		return "", errMessage
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", errMessage
	}
	return parse(b)
}

// parse reads the fields of a message. Unknown ones are skipped; of a repeated one the last counts.
func parse(b []byte) (service string, err error) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key>>3 == 0 {
			return "", errMessage
		}
		b = b[n:]
		switch key & 7 {
		case 0: // varint
			_, n := binary.Uvarint(b)
			if n <= 0 {
				return "", errMessage
			}
			b = b[n:]
		case 1, 5: // of fixed length
			n := 8
			if key&7 == 5 {
				n = 4
			}
			if len(b) < n {
				return "", errMessage
			}
			b = b[n:]
		case 2: // with a length
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return "", errMessage
			}
			if key>>3 == 1 {
				service = string(b[n : n+int(size)])
			}
			b = b[n+int(size):]
		default:
			return "", errMessage
		}
	}
	return service, nil
}

// response is the message that says s.
func response(s serving) []byte { return []byte{0, 0, 0, 0, 2, 1 << 3, byte(s)} }
