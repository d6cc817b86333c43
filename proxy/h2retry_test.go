package proxy

import (
	"bytes"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// A body that was empty, but had an end of its own, has it again where the request is sent again.
func TestH2EmptyBodyIsRetried(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	n := 0
	w.upstream(func(s *sim.Sock, got []byte) {
		if !bytes.HasSuffix(got, []byte("\r\n\r\n")) || bytes.Contains(got, []byte("chunked")) && !bytes.HasSuffix(got, []byte("\r\n0\r\n\r\n")) {
			return
		}
		if n++; n == 2 {
			s.Close()
			return
		}
		s.Write([]byte(ok))
	})
	p := w.dialH2("web")
	first := p.call("GET", "/", true)
	w.until("the first", func() bool { return first.done })
	c := p.call("PUT", "/", false)
	p.write(c, "", true)
	began := w.net.Now()
	w.until("the second", func() bool { return c.done || c.reset != nil })
	if c.status != "200" || w.net.Now().Sub(began) > time.Second {
		t.Errorf("status %s after %v; the upstream got %q", c.status, w.net.Now().Sub(began), w.upReqs)
	}
	p.Close()
	w.noneLeft()
}

// The same where the upstream speaks HTTP/2, and with trailers, which nobody keeps.
func TestH2EmptyBodyIsRefused(t *testing.T) {
	for _, trailers := range []bool{false, true} {
		w := h2Walk(t, Config{})
		w.openH2()
		refused := false
		all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
			if q.whole && !refused {
				refused = true
				q.s.Reset(h2.RefusedStream)
				return
			}
			whole(o, q)
		})
		p := w.dialH2("web")
		c := p.call("POST", "/", false)
		want := "200"
		if trailers {
			want = "502"
			c.s.Trailers([]h2.Field{pair("x-sum", "1")})
			p.flush()
		} else {
			p.write(c, "", true)
		}
		w.until("the answer", func() bool { return c.done || c.reset != nil })
		if c.status != want {
			t.Errorf("trailers %v: status %s, want %s, on %d connections", trailers, c.status, want, len(*all))
		}
		p.Close()
		w.retired()
	}
}
