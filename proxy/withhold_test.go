package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/sim"
)

const getRequest = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

// While the policy is withheld nobody is let in by it, over HTTP and TCP alike, and everybody is again as soon as it is taken back.
func TestWithheldPolicyAllowsNothing(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.simple(ok)
	c := w.dial("web")
	answered := func(status string) {
		t.Helper()
		c.got = ""
		c.Write([]byte(getRequest))
		w.until("the answer", func() bool { return strings.Contains(c.got, "\r\n\r\n") })
		if !strings.HasPrefix(c.got, "HTTP/1.1 "+status) {
			t.Errorf("got %q, want %s", c.got, status)
		}
	}
	answered("200")
	w.core.Withhold(true)
	answered("503")
	if !strings.Contains(c.got, "X-Sluice-Reason: policy_stale\r\n") || !strings.Contains(c.got, "Retry-After: 1\r\n") {
		t.Errorf("%q", c.got)
	}
	q := Question{Method: "GET", Host: "a.test", Path: "/", Source: netip.MustParseAddr("10.1.1.1"), Time: w.net.Now()}
	if j := w.core.Judge(&q); j.Status != 503 || j.Reason != "policy_stale" || j.Allowed() {
		t.Errorf("%+v", j)
	}
	d := w.dial("db")
	w.until("the close", func() bool { return d.eof || d.reset })
	if s := w.core.Stats(); s.Listeners[0].Refused["policy_stale"] != 1 || s.Listeners[1].Refused["policy_stale"] != 1 || len(w.upReqs) != 1 {
		t.Errorf("%v, %v, %d connections upstream", s.Listeners[0].Refused, s.Listeners[1].Refused, len(w.upReqs))
	}
	w.core.Withhold(false)
	answered("200") // on the connection of before
	if j := w.core.Judge(&q); w.core.Withheld() || !j.Allowed() {
		t.Errorf("it is withheld still: %+v", j)
	}
	c.Close()
}

// What is open for long ends too: it was allowed by a policy that is not acted upon any more.
func TestWithheldPolicyEndsStreams(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{Data: func(b []byte) { s.Write(b) }, EOF: s.Close})
	})
	c := w.dial("db")
	c.Write([]byte("hello"))
	w.until("the echo", func() bool { return c.got == "hello" })
	w.core.Withhold(true)
	w.until("the end", func() bool { return c.eof || c.reset })
	w.noneLeft()
	w.barred(policyChanged, 1)
}
