package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// Clients leave when they have their last response and hear a goodbye; they do not wait for the end of it. What of it did
// not arrive is no loss of theirs, and the account does not say so.
func TestH2GoodbyeThatIsNotWaitedForIsNoLoss(t *testing.T) {
	for name, late := range map[string]bool{"the response arrived": false, "it did not": true} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				if bytes.HasSuffix(got, []byte("\r\n\r\n")) {
					s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000)))
				}
			})
			p := w.dialH2("web")
			c := p.call("GET", "/", true)
			if late {
				p.Pause()
			} else {
				w.until("the response", func() bool { return c.done })
			}
			w.sleep(time.Second)
			p.Pause() // from here on nothing is read: what is sent is not known to have arrived
			w.lameDuck()
			w.sleep(time.Second)
			w.net.After(time.Second, p.Abort)
			_, r := w.cutIn(3 * time.Second)
			if err := r.Audit(); err != nil {
				t.Error(err)
			}
			if got := r.Unsent > 0; got != late {
				t.Errorf("%d bytes did not arrive", r.Unsent)
			}
			if r.Open.Idle+r.Open.Active != 1 {
				t.Errorf("%+v", r.Open)
			}
			w.noneLeft()
		})
	}
}
