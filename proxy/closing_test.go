package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// A client may end its half behind its request, and read slowly: it gets all of the response,
// also if that takes longer than a close may linger.
func TestAHalfClosedSlowReaderGetsItAll(t *testing.T) {
	const size = 150_000
	for _, move := range []int64{-1, 1} {
		w := newWalk(t, Config{MoveFrom: move})
		w.net.Window = 4 << 10
		w.open()
		w.simple(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		c := w.dial("web")
		w.readSlowly(c, 3000)
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		c.CloseWrite()
		w.until("an end", func() bool { return c.eof || c.reset })
		if n := strings.Count(c.got, "x"); n != size || c.reset {
			t.Errorf("move from %d: %d of %d bytes, reset %v", move, n, size, c.reset)
		}
	}
}
