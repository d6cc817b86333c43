package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// An upstream that takes nothing more of a request is not waited for without end; one that takes a little of it is.
func TestUpH2StalledRequest(t *testing.T) {
	for _, slow := range []bool{false, true} {
		w := h2Walk(t, Config{})
		w.openH2()
		size := 1 << 20
		var given int
		all := w.originH2("up:1", h2.Config{StreamWindow: 65535}, func(o *h2origin, q *h2request) {
			o.greedy = true
			if given == 0 && slow {
				given = 1
				var step func()
				step = func() {
					if n := q.s.Unconsumed(); n > 0 && q.reset == nil {
						o.core.Consumed(q.s, n)
						o.flush()
					}
					w.net.After(10*time.Second, step)
				}
				w.net.After(10*time.Second, step)
			}
			if q.whole {
				o.answer(q, "whole")
			}
		})
		for _, http2 := range []bool{true, false} {
			var over func() bool
			var status func() string
			if http2 {
				p := w.dialH2("web")
				c := p.call("POST", "/", false)
				p.write(c, strings.Repeat("x", size), true)
				over, status = func() bool { return c.whole || c.reset != nil }, func() string { return c.status }
			} else {
				c := w.dial("web")
				c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", size)))
				over, status = func() bool { return strings.Contains(c.got, "\r\n\r\n") || c.eof }, func() string { return (c.got + "             ")[9:12] }
			}
			began := w.net.Now()
			w.until("an end", over)
			want := map[bool]string{false: "504", true: "200"}[slow]
			if status() != want {
				t.Errorf("HTTP/2 %v, slow %v: status %q after %v, want %s; %d connections", http2, slow, status(), w.net.Now().Sub(began), want, len(*all))
			}
		}
	}
}
