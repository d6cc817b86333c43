package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Clients that take nothing of their responses stop nobody who shares the connection to the upstream with them.
func TestUpH2SlowClientsStopNobody(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	big := strings.Repeat("x", 4<<20)
	all := w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		if q.path == "/big" {
			o.answer(q, big)
			return
		}
		whole(o, q)
	})
	p := w.dialH2("web")
	p.greedy = true
	for range 16 {
		p.call("GET", "/big", true)
	}
	w.sleep(time.Second)
	other := w.dialH2("web")
	began := w.net.Now()
	c := other.call("POST", "/", false)
	p2 := strings.Repeat("y", 1000)
	other.write(c, p2, true)
	w.until("a neighbour's response", func() bool { return c.done || c.reset != nil })
	if took := w.net.Now().Sub(began); c.status != "200" || took > time.Second {
		t.Errorf("status %s after %v", c.status, took)
	}
	if len(*all) != 1 {
		t.Errorf("%d connections", len(*all))
	}
	p.Abort()
	other.Close()
	w.retired()
}
