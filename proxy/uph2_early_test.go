package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// connection breaks later, whoever else is on it hears of that.
func TestUpH2AnswersBeforeTheBody(t *testing.T) {
	for _, breaks := range []bool{false, true} {
		t.Run(fmt.Sprintf("breaks %v", breaks), func(t *testing.T) {
			panics := 0
			w := h2Walk(t, Config{Panicked: func(string, any, []byte) { panics++ }})
			w.openH2()
			all := w.originH2("up:1", h2.Config{StreamWindow: 65535}, func(o *h2origin, q *h2request) {
				if q.path == "/up" && q.s != nil && q.body.Len() == 65535 {
					w.net.After(time.Second, func() { o.answer(q, "enough"); o.flush() })
				}
			})
			p := w.dialH2("web")
			wait := p.call("POST", "/wait", true)
			w.until("a connection", func() bool { return len(*all) == 1 && len((*all)[0].asked) == 1 })
			o := (*all)[0]
			o.greedy = true
			up := p.call("POST", "/up", false)
			p.write(up, strings.Repeat("x", 65535+10_000), true)
			w.until("the answer", func() bool { return up.whole })
			w.sleep(100 * time.Millisecond)
			if n := o.core.Streams(); n != 1 {
				t.Errorf("%d streams are open, want 1", n)
			}
			if breaks {
				o.Abort()
				w.until("the other", func() bool { return wait.done || wait.reset != nil })
				if wait.status != "502" {
					t.Errorf("status %q", wait.status)
				}
			}
			p.Abort()
			if n := w.core.Orphans(); n > 0 || panics > 0 {
				t.Errorf("%d exchanges wait for nobody, %d panics", n, panics)
			}
			w.retired()
		})
	}
}

// A request whose body has begun waits for the SETTINGS of a new connection: if the upstream closes that before it, the request is sent
// again, whole and once, although it is a POST.
func TestUpH2ClosesBeforeItsSettings(t *testing.T) {
	for _, reset := range []bool{false, true} {
		w := h2Walk(t, Config{})
		w.openH2()
		var got []*h2request
		n := 0
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			if n++; n == 1 {
				w.net.After(100*time.Millisecond, func() {
					if reset {
						s.Abort()
					} else {
						s.Close()
					}
				})
				return
			}
			o := &h2origin{Sock: s, serve: func(o *h2origin, q *h2request) {
				if q.whole {
					got = append(got, q)
					o.answer(q, "got "+q.body.String())
				}
			}}
			o.core = h2.New(h2.Config{}, o)
			s.SetEvents(sim.Events{Data: func(b []byte) {
				_ = o.core.Receive(b, w.net.Now().Sub(sim.Epoch)) // what it says of errors the tests look at
				o.flush()
			}, EOF: func() { o.eof = true; s.Close() }})
			o.flush()
		})
		p := w.dialH2("web")
		c := p.call("POST", "/", false)
		p.write(c, "first, ", false)
		w.until("a connection", func() bool { return n == 1 })
		w.until("another", func() bool { return n == 2 })
		p.write(c, "second", true)
		w.until("the answer", func() bool { return c.whole })
		if c.status != "200" || c.body.String() != "got first, second" || len(got) != 1 {
			t.Errorf("reset %v: status %s, body %q, %d requests", reset, c.status, c.body.String(), len(got))
		}
		p.Close()
		w.retired()
	}
}
