package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// breaking takes n heads and closes without a word, then answers.
func (w *walk) breaking(addr string, n int) {
	w.net.Listen(addr).Accept(func(s *sim.Sock) {
		i := len(w.upReqs)
		w.upReqs = append(w.upReqs, "")
		s.SetEvents(sim.Events{EOF: func() { s.Close() }, Data: func(b []byte) {
			if w.upReqs[i] += string(b); !strings.Contains(w.upReqs[i], "\r\n\r\n") {
				return
			}
			if i < n {
				s.Close()
				return
			}
			s.Write([]byte(ok))
		}})
	})
}

// What was sent is sent again only if that cannot execute it twice, at most once more,
// and only within the budget.
func TestWhatIsSentAgain(t *testing.T) {
	for _, tt := range []struct {
		request string
		breaks  int
		percent int
		sent    int
		status  string
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0, 2, "200"},
		{"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0, 2, "200"},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 9, 0, 2, "502"},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, -1, 1, "502"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1, 0, 1, "502"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 1, 0, 1, "502"},
		{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 1, 0, 1, "502"}, // its body was consumed
		{"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0, 1, "502"},
	} {
		w := newWalk(t, Config{})
		cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, RetryPercent: tt.percent})
		w.breaking("up:1", tt.breaks)
		c := w.dial("web")
		c.Write([]byte(tt.request))
		w.until("an answer", c.has("\r\n\r\n"))
		if len(w.upReqs) != tt.sent || !strings.HasPrefix(c.got, "HTTP/1.1 "+tt.status) {
			t.Errorf("%.12q, %d breaks: sent %d times, answer %.20q; want %d and %s", tt.request, tt.breaks, len(w.upReqs), c.got, tt.sent, tt.status)
		}
		sent, refused := cl.Retries()
		if want := uint64(tt.sent - 1); sent != want || refused != 0 && tt.percent >= 0 {
			t.Errorf("%.12q: counted %d retries, %d refused; want %d", tt.request, sent, refused, want)
		}
	}
}

// An endpoint that breaks every request is left out, and comes back once it is well.
func TestFailingEndpointIsEjected(t *testing.T) {
	w := newWalk(t, Config{})
	cl := w.openWith(upstream.Config{Endpoints: []string{"up:1", "up:2"}, Outlier: upstream.Outlier{EjectFor: 10 * time.Second}})
	bad := cl.Endpoints()[0]
	well := false
	for _, addr := range []string{"up:1", "up:2"} {
		w.net.Listen(addr).Accept(func(s *sim.Sock) {
			s.SetEvents(sim.Events{EOF: func() { s.Close() }, Data: func([]byte) {
				if addr == "up:1" && !well {
					s.Abort()
					return
				}
				s.Write([]byte(ok))
			}})
		})
	}
	post := func(i int) *client {
		c := w.dial("web")
		c.Write(fmt.Appendf(nil, "POST /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", i))
		w.until("an answer", c.has("\r\n\r\n"))
		return c
	}
	failed := 0
	for i := range 30 {
		if !strings.HasPrefix(post(i).got, "HTTP/1.1 200") {
			failed++
		}
	}
	if failed != 5 || bad.State() != upstream.Ejected {
		t.Errorf("%d requests failed and the endpoint is %v; want 5 and ejected", failed, bad.State())
	}
	well = true
	w.pass(10 * time.Second)
	for i := range 4 {
		post(i)
	}
	if bad.State() != upstream.Healthy {
		t.Errorf("the endpoint is %v after it answered", bad.State())
	}
}
