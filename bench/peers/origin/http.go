//go:build linux

package origin

import (
	"bytes"
	"strconv"

	"github.com/sluiceproxy/sluice/bench/peers/body"
)

const maxHead = 16 << 10

// order starts a bulk stream as long as 16 hexadecimal digits say.
func (s *server) order(c *conn, b []byte) bool {
	c.in = append(c.in, b...)
	if len(c.in) < body.IDLen {
		return true
	}
	n, err := strconv.ParseInt(string(c.in[:body.IDLen]), 16, 64)
	if err != nil || n < 0 {
		return false
	}
	c.in, c.stream, c.hangup = nil, n, true
	return true
}

// request takes bytes of heads and request bodies, at most one answer at a time.
func (s *server) request(c *conn, b []byte) bool {
	for len(b) > 0 {
		if c.upload > 0 {
			n := min(len(b), c.upload)
			c.wrong = c.wrong || !body.Equal(s.pattern, b[:n], c.at, &c.id)
			c.at, c.upload, b = c.at+n, c.upload-n, b[n:]
			if c.upload > 0 {
				continue
			}
			if !s.answer(c, 64) {
				return false
			}
		} else {
			if len(c.in) > 0 {
				b = append(c.in, b...)
				c.in = nil
			}
			end := bytes.Index(b, []byte("\r\n\r\n"))
			if end < 0 {
				c.in = append([]byte(nil), b...)
				return len(b) <= maxHead
			}
			head := b[:end+2]
			b = b[end+4:]
			if !s.begin(c, head) {
				return false
			}
		}
		if len(c.out)+len(c.body) > 0 && len(b) > 0 {
			c.in = append([]byte(nil), b...) // after this answer has left
			return true
		}
	}
	return true
}

// begin reads a head and answers it, or gets ready for its body. false: not a request
// that the harness sends.
func (s *server) begin(c *conn, head []byte) bool {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	id := bytes.LastIndexByte(path, '/')
	if id < 1 || len(path)-id-1 != body.IDLen {
		return false
	}
	copy(c.id[:], path[id+1:])
	size := atoi(path[bytes.LastIndexByte(path[:id], '/')+1 : id])
	if size < body.IDLen || size > body.Max {
		return false
	}
	length, key := 0, []byte(nil)
	for len(fields) > 0 {
		var f []byte
		f, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(f, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
			length = atoi(value)
		case len(name) == len("sec-websocket-key") && bytes.EqualFold(name, []byte("sec-websocket-key")):
			key = value
		case len(name) == len("connection") && bytes.EqualFold(name, []byte("connection")):
			c.hangup = bytes.EqualFold(value, []byte("close"))
		case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
			return false
		}
	}
	if length < 0 || length > body.Max {
		return false
	}
	if key != nil {
		return s.upgrade(c, key)
	}
	c.wrong, c.at, c.upload = string(method) == "POST" && length != size, 0, length
	if length > 0 {
		return true
	}
	return s.answer(c, size)
}

// answer sends size bytes under the name of the request.
func (s *server) answer(c *conn, size int) bool {
	b := s.compose[:0]
	if c.wrong {
		b = append(b, "HTTP/1.1 409 Conflict\r\n"...)
	} else {
		b = append(b, "HTTP/1.1 200 OK\r\n"...)
	}
	b = append(b, "Server: origin\r\nDate: Sun, 01 Mar 2026 08:00:00 GMT\r\nContent-Type: application/octet-stream\r\nCache-Control: no-store\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(size), 10)
	if c.hangup {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, c.id[:]...)
	first := min(size, 64<<10) // with the head in one write
	b = append(b, s.pattern[body.IDLen:first]...)
	return s.send(c, b, s.pattern[first:size])
}

// atoi is -1 where b is not a small decimal number.
func atoi(b []byte) int {
	if len(b) == 0 || len(b) > 8 {
		return -1
	}
	n := 0
	for _, d := range b {
		if d < '0' || d > '9' {
			return -1
		}
		n = n*10 + int(d-'0')
	}
	return n
}
