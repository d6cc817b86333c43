package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// What the simulation found in the account of connections with several exchanges: each exchange counts once, as what
// became of it.

// A cut counts every exchange whose response has not left, and none of them as finished.
func TestH2CutCountsEachExchange(t *testing.T) {
	w := h2Walk(t, Config{})
	w.open()
	big := strings.Repeat("x", 300_000)
	w.upstream(func(s *sim.Sock, got []byte) {
		switch {
		case !bytes.HasSuffix(got, []byte("\r\n\r\n")):
		case bytes.Contains(got, []byte("GET /big")): // all of it is here, and the client gives no window
			s.Write([]byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 70_000) + big[:70_000]))
		case bytes.Contains(got, []byte("GET /half")):
			s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha"))
		case bytes.Contains(got, []byte("GET /quick")):
			s.Write([]byte(ok))
		}
	})
	p := w.dialH2("web")
	p.greedy = true
	quick := p.call("GET", "/quick", true)
	w.until("the quick response", func() bool { return quick.done })
	for range 2 {
		p.call("GET", "/big", true)
		p.call("GET", "/half", true)
		p.call("GET", "/never", true)
	}
	w.until("what is to come", func() bool { return len(p.streams) == 7 && p.streams[5].body.Len() == 2 })
	w.sleep(time.Second)
	w.lameDuck()
	w.sleep(100 * time.Millisecond)
	w.drainFor(3 * time.Second)
	for range 60 {
		w.sleep(100 * time.Millisecond)
		w.tracker.Step(w.net.Now())
	}
	r := w.tracker.Receipt()
	if x := r.Exchanges; r.Audit() != nil || r.CutTotal != 1 || x.Interrupted != 6 || x.LameDuck+x.Draining != 0 || x.Started != 6 {
		t.Errorf("%v: %+v, want 6 interrupted of 6", r, x)
	}
	w.noneLeft()
}
