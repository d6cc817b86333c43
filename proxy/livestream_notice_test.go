package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// underWay opens a response without a length that has begun; end ends it as its upstream does.
func underWay(w *walk) (c *client, end func()) {
	var up *sim.Sock
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{Data: func([]byte) {
			up = s
			s.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello")))
		}})
	})
	c = w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
	w.until("some of it", c.has("hello"))
	return c, func() { up.Write([]byte(chunk("world") + "0\r\n\r\n")) }
}

// TestWhatEndsByItselfIsWhole: a response that is over a moment after its session was ended, or the policy changed, loses nothing.
func TestWhatEndsByItselfIsWhole(t *testing.T) {
	for _, e := range endings {
		if e.begin != nil { // by the clock
			continue
		}
		w := newWalk(t, Config{Sessions: newLogins()})
		w.open()
		k := w.guard()
		c, end := underWay(w)
		e.bye(w, k)
		w.pass(300 * time.Millisecond)
		end()
		w.pass(2 * time.Second)
		if !strings.HasSuffix(c.got, "world\r\n0\r\n\r\n") || c.eof || c.reset {
			t.Errorf("%v: %q, eof %v, reset %v", e.why, c.got, c.eof, c.reset)
		}
		w.barred(e.why, 0)
		c.Close()
		w.nothingHeld()
	}
}

// TestNoticeIsTakenBack: what is allowed again goes on, and has its moment again if it is refused once more.
func TestNoticeIsTakenBack(t *testing.T) {
	w := newWalk(t, Config{Sessions: newLogins()})
	w.open()
	w.guard()
	c, end := underWay(w)
	w.enforce(denyUser("ann"), nil)
	w.pass(200 * time.Millisecond)
	w.enforce(allowAll{}, nil)
	w.pass(5 * time.Second)
	w.enforce(denyUser("ann"), nil)
	w.pass(300 * time.Millisecond)
	end()
	w.until("all of it", c.has("0\r\n\r\n"))
	w.barred(policyChanged, 0)
}

// TestAgeGivesNoNotice: it was known all the time.
func TestAgeGivesNoNotice(t *testing.T) {
	w := newWalk(t, Config{Sessions: newLogins()})
	w.open()
	w.guard()
	w.core.gate.Load().routes[0].maxStreamAge = 3 * time.Second
	c, _ := underWay(w)
	began := w.net.Now()
	w.until("its end", func() bool { return c.eof })
	if took := w.net.Now().Sub(began); took > 3*time.Second+lookEvery+50*time.Millisecond {
		t.Errorf("it ended after %v", took)
	}
	w.barred(streamTooOld, 1)
}
