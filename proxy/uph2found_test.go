package proxy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// What the simulation found of upstreams that speak HTTP/2.

// A response that ends with its head, and says nothing of a length, is whole for a client of HTTP/1.1 as well: without a
// Content-Length that would read on until the connection ends (RFC 9112 section 6.3).
func TestUpH2EndsWithItsHead(t *testing.T) {
	for name, tc := range map[string]struct {
		status, method string
		length         bool
	}{
		"200":  {"200", "GET", true},
		"302":  {"302", "GET", true},
		"204":  {"204", "GET", false},
		"304":  {"304", "GET", false},
		"HEAD": {"200", "HEAD", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, Config{})
			w.openH2()
			w.originH2("up:1", h2.Config{}, func(_ *h2origin, q *h2request) {
				q.s.Head([]h2.Field{pair(":status", tc.status), pair("x-end", "yes")}, true)
			})
			c := w.dial("web")
			c.Write([]byte(tc.method + " / HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.until("the response", c.has("\r\n\r\n"))
			if got := strings.Contains(c.got, "Content-Length: 0\r\n"); got != tc.length {
				t.Errorf("Content-Length: 0 is there: %v, want %v: %q", got, tc.length, c.got)
			}
			c.Close()
			w.noneLeft()
		})
	}
}
