//go:build linux

package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
)

// maxHead is more than any proxy of a run answers with.
const maxHead = 16 << 10

// request appends a request, as a browser's programmatic client would send it.
func (c *client) request(b []byte, k *conn) []byte {
	route, host := -1, "bench.example.com"
	if c.Routes > 0 {
		route = rand.IntN(c.Routes)
	}
	if c.Upload {
		b = append(b, "POST /"...)
	} else {
		b = append(b, "GET /"...)
	}
	if route >= 0 {
		b = strconv.AppendInt(append(b, 'r'), int64(route), 10)
	} else {
		b = append(b, "app"...)
	}
	if c.Wire == WebSocket {
		b = append(b, "/ws"...)
	}
	b = strconv.AppendInt(append(b, '/'), int64(c.Size), 10)
	b = append(append(b, '/'), k.id[:]...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if route >= 0 {
		b = append(strconv.AppendInt(append(b, 'h'), int64(route%100), 10), ".example.com"...)
	} else {
		b = append(b, host...)
	}
	b = append(b, "\r\nUser-Agent: sluice-bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n"...)
	if c.Key != "" {
		b = append(append(append(b, "X-Api-Key: "...), c.Key...), "\r\n"...)
	}
	if c.Mode == Churn {
		b = append(b, "Connection: close\r\n"...)
	}
	if c.Wire == WebSocket {
		b = append(b, opening...)
	}
	if !c.Upload {
		return append(b, "\r\n"...)
	}
	b = append(b, "Content-Type: application/octet-stream\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(c.Size), 10)
	b = append(append(b, "\r\n\r\n"...), k.id[:]...)
	k.rest = c.pattern[body.IDLen:c.Size]
	return b
}

// receive takes bytes of a response.
func (c *client) receive(k *conn, b []byte) {
	switch k.step {
	case head:
		if b = c.readHead(k, b); b == nil {
			return
		}
	case content:
	default:
		c.result.Mismatches++
		c.drop(k, fmt.Errorf("%d bytes that nobody asked for: %.40q", len(b), b))
		return
	}
	if k.at+int64(len(b)) > k.want {
		c.result.Mismatches++
		c.drop(k, fmt.Errorf("more bytes than announced: %d of %d", k.at+int64(len(b)), k.want))
		return
	}
	if !c.right(k, b) {
		c.result.Mismatches++
		c.drop(k, fmt.Errorf("request %s: a wrong byte between %d and %d", k.id, k.at, k.at+int64(len(b))))
		return
	}
	k.at += int64(len(b))
	c.progress(k, len(b))
}

func (c *client) right(k *conn, b []byte) bool {
	switch {
	case c.Mode == Bulk:
		return body.EqualStream(c.pattern, b, k.at)
	case k.open:
		return c.rightMessage(k, b)
	}
	return body.Equal(c.pattern, b, int(k.at), &k.id)
}

// progress moves on where a body is complete, or a stream has run for long enough.
func (c *client) progress(k *conn, n int) {
	if c.Mode == Bulk {
		c.result.Bytes += int64(n)
		if time.Now().Before(c.until) {
			return
		}
		c.finished(k)
		c.forget(k)
		return
	}
	if k.at < k.want {
		return
	}
	c.result.Bytes += k.at
	switch c.Mode {
	case Churn:
		k.step = goodbye
	case Echo:
		c.finished(k)
		c.forget(k)
	default:
		c.finished(k)
		c.next(k)
	}
}

// finished counts an exchange and makes k ready.
func (c *client) finished(k *conn) {
	c.hist.add(time.Since(k.since))
	c.result.Count++
	c.busy--
	k.step = ready
	if (c.Mode == Churn || c.Mode == Echo) && c.phase != resting && time.Now().Before(c.until) {
		c.pending++
	}
}

// next begins the next request on k, if there is to be one.
func (c *client) next(k *conn) {
	now := time.Now()
	switch {
	case c.Mode == Paced && c.phase == measuring:
		c.free = append(c.free, k)
		c.now = now
		c.beginDue()
	case c.Mode == Idle, c.phase == resting, !now.Before(c.until):
	default:
		c.begin(k, now)
	}
}

// fill begins on all connections that the warm-up left.
func (c *client) fill() {
	switch c.Mode {
	case Churn, Echo, Bulk:
		c.pending = c.Conns
		return
	case Paced:
		c.free = c.free[:0]
		for _, k := range c.conns {
			if k != nil && k.step == ready {
				c.free = append(c.free, k)
			}
		}
		return
	}
	for _, k := range c.conns {
		if k != nil && k.step == ready {
			c.begin(k, time.Now())
		}
	}
}

// readHead takes a response head and returns what follows it; nil: it is not complete, or
// it is wrong and the connection gone.
func (c *client) readHead(k *conn, b []byte) []byte {
	if len(k.part) > 0 {
		b = append(k.part, b...)
		k.part = nil
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			c.drop(k, fmt.Errorf("a response head of more than %d bytes", maxHead))
			return nil
		}
		k.part = append([]byte(nil), b...)
		return nil
	}
	if c.Wire == WebSocket {
		c.opened(k, b, end+4)
		return nil
	}
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 200 ")) {
		if bytes.HasPrefix(b, []byte("HTTP/1.1 409 ")) { // the origin compared an upload
			c.result.Mismatches++
		}
		c.drop(k, fmt.Errorf("answered %.60q", b))
		return nil
	}
	k.want = contentLength(b[:end+2])
	expect := int64(c.Size)
	if c.Upload {
		expect = 64
	}
	if k.want != expect {
		c.result.Mismatches++
		c.drop(k, fmt.Errorf("a body of %d bytes is announced, want %d", k.want, expect))
		return nil
	}
	k.step = content
	return b[end+4:]
}

// contentLength is -1 if a head has none.
func contentLength(head []byte) int64 {
	const name = "content-length"
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(line[len(name)+1:])), 10, 64)
			if err != nil {
				return -1
			}
			return n
		}
	}
	return -1
}
