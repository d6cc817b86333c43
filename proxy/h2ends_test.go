package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// What ends with its connection is in the receipt once, and not as finished: whether it is cut at the deadline, with responses that
// have begun or wait for the client's window, or the client goes away.
func TestH2EndsAreCountedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		resp   string
		ends   func(p *h2peer)
		failed uint64
	}{
		"begun":   {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", func(*h2peer) {}, 0},
		"blocked": {"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), func(*h2peer) {}, 0},
		"gone":    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", func(p *h2peer) { p.Abort() }, 4},
		"broken":  {"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), func(p *h2peer) { p.Write([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00")) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				if bytes.HasSuffix(got, []byte("\r\n\r\n")) {
					s.Write([]byte(tt.resp))
				}
			})
			p := w.dialH2("web")
			p.greedy = true
			var calls []*h2call
			for range 4 {
				calls = append(calls, p.call("GET", "/", true))
			}
			w.sleep(time.Second)
			for _, c := range calls {
				if c.status != "200" || c.whole {
					t.Fatalf("status %q, whole %v", c.status, c.whole)
				}
			}
			w.net.After(time.Second, func() { tt.ends(p) })
			_, r := w.cutIn(3 * time.Second)
			if err := r.Audit(); err != nil || r.Exchanges.Failed != tt.failed || r.Exchanges.Interrupted != 4-tt.failed || r.Exchanges.Started != 4 {
				t.Errorf("audit %v, exchanges %+v", err, r.Exchanges)
			}
			w.until("the end", func() bool { return p.eof || p.reset || tt.failed > 0 })
			w.noneLeft()
		})
	}
}

// A head that is too large gets 431, and HEAD gets it without a body.
func TestH2TooLargeHead(t *testing.T) {
	for method, length := range map[string]bool{"GET": true, "HEAD": false, "POST": true} {
		w := h2Walk(t, Config{Limits: h1.Limits{Head: 2000}})
		w.open()
		p := w.dialH2("web")
		c := p.call(method, "/", true, "x-large: "+strings.Repeat("x", 4000))
		w.until("the answer", func() bool { return c.whole })
		if c.status != "431" || (c.body.Len() > 0) != length || c.reset != nil || !strings.Contains(c.head, "content-length: ") {
			t.Errorf("%s: status %s, %d bytes, reset %v, head %q", method, c.status, c.body.Len(), c.reset, c.head)
		}
		p.Close()
		w.noneLeft()
	}
}
