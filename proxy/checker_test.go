package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// probed is an upstream that answers probes as it is told, and requests with ok.
type probed struct {
	answer string // to a probe; empty: silence
	probes []time.Time
	heads  []string
}

func (w *walk) probed(addr string) *probed {
	p := &probed{answer: ok}
	w.net.Listen(addr).Accept(func(s *sim.Sock) {
		got := ""
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				if got += string(b); !strings.HasSuffix(got, "\r\n\r\n") {
					return
				}
				head := got
				got = ""
				if !strings.Contains(head, "sluice-health-check") {
					s.Write([]byte(ok))
					return
				}
				p.probes = append(p.probes, w.net.Now())
				p.heads = append(p.heads, head)
				if p.answer != "" {
					s.Write([]byte(p.answer))
				}
			},
			EOF: func() { s.Close() },
		})
	})
	return p
}

var everySecond = upstream.Check{Path: "/healthz", Interval: time.Second, Timeout: 500 * time.Millisecond, Healthy: 2, Unhealthy: 3}

func TestHealthChecksDecideWhoIsAsked(t *testing.T) {
	for name, sick := range map[string]string{
		"5xx": "HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n", "silence": "", "rubbish": "hello\r\n\r\n",
		"1xx for ever": strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 4000), "endless head": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWalkOf(t, 2, Config{})
			a, b := w.probed("up:1"), w.probed("up:2")
			cl := w.openWith(upstream.Config{Endpoints: []string{"up:1", "up:2"}, Check: everySecond})
			first := cl.Endpoints()[0]
			w.until("probes", func() bool { return len(a.probes) > 2 && len(b.probes) > 2 })
			if first.State() != upstream.Healthy {
				t.Fatal("a healthy endpoint was put out")
			}
			if want := "GET /healthz HTTP/1.1\r\nHost: up:1\r\n"; !strings.HasPrefix(a.heads[0], want) {
				t.Errorf("probe %q", a.heads[0])
			}
			a.answer = sick
			before := first.CheckErrs.Load()
			w.until("it is out", func() bool { return first.State() == upstream.Unhealthy })
			if n := first.CheckErrs.Load() - before; n != 3 {
				t.Errorf("out after %d bad probes, want 3", n)
			}
			served := first.Requests.Load()
			for range 6 {
				c := w.dial("web")
				c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
				w.until("an answer", c.has("200 OK"))
			}
			if first.Requests.Load() != served {
				t.Error("an unhealthy endpoint was asked")
			}
			a.answer = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"
			w.until("it is back", func() bool { return first.State() == upstream.Healthy })
		})
	}
}

// All are out: the answer comes at once and says why.
func TestAllUnhealthyIsAnsweredAtOnce(t *testing.T) {
	w := newWalk(t, Config{})
	cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, Check: upstream.Check{Interval: time.Second}}) // nobody listens
	w.until("it is out", func() bool { return cl.Endpoints()[0].State() == upstream.Unhealthy })
	c := w.dial("web")
	began := w.net.Now()
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the refusal", c.has("no_healthy_endpoint"))
	if took := w.net.Now().Sub(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	// A connection is enough where no path is given.
	w.probed("up:1")
	w.until("it is back", func() bool { return cl.Endpoints()[0].State() == upstream.Healthy })
}

// Each endpoint is probed by one loop, at the pace of its interval, and not in step with the others.
func TestProbesKeepTheirPaceAndSpread(t *testing.T) {
	w := newWalkOf(t, 3, Config{})
	eps := []string{"up:1", "up:2", "up:3", "up:4"}
	var all []*probed
	for _, e := range eps {
		all = append(all, w.probed(e))
	}
	w.openWith(upstream.Config{Endpoints: eps, Check: everySecond})
	began := w.net.Now()
	w.until("a minute", func() bool { return w.net.Now().Sub(began) > time.Minute })
	last := map[time.Duration]int{}
	for i, p := range all {
		if n := len(p.probes); n < 52 || n > 68 {
			t.Errorf("endpoint %d: %d probes in a minute, want about 60", i, n)
			continue
		}
		last[p.probes[len(p.probes)-1].Sub(began).Round(10*time.Millisecond)]++
	}
	if len(last) < 3 {
		t.Errorf("probes come at the same moments: %v", last)
	}
}

// Probes are no work that a drain waits for, end with it, and go on meanwhile only for
// endpoints that are out.
func TestProbesAndTheDrain(t *testing.T) {
	w := newWalk(t, Config{})
	well, sick := w.probed("up:1"), w.probed("up:2")
	sick.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
	cl := w.openWith(upstream.Config{Endpoints: []string{"up:1", "up:2"}, Check: everySecond})
	w.until("one is out", func() bool { return cl.Endpoints()[1].State() == upstream.Unhealthy })
	held := w.dial("web")
	held.Write([]byte("GET / HTTP/1.1\r\n")) // keeps the drain going
	w.pass(time.Second)
	w.drain(8 * time.Second)
	w.core.Shut()
	atDrain := [2]int{len(well.probes), len(sick.probes)}
	began := w.net.Now()
	w.until("five seconds", func() bool { return w.net.Now().Sub(began) > 5*time.Second })
	if n := len(well.probes) - atDrain[0]; n > 1 { // one may be on its way
		t.Errorf("%d probes of a healthy endpoint while draining", n)
	}
	if n := len(sick.probes) - atDrain[1]; n < 3 {
		t.Errorf("%d probes of the endpoint that is out while draining: nobody would learn of its return", n)
	}
	w.until("drained", func() bool { return w.tracker.State().String() == "drained" })
	w.core.Shut()
	w.until("the probes have ended", func() bool { return w.driver.Conns() == 0 })
	n := len(sick.probes)
	w.pass(10 * time.Second)
	if len(sick.probes) != n {
		t.Errorf("%d probes after the drain", len(sick.probes)-n)
	}
}

// A policy without checks ends them and takes back what they said.
func TestChecksEndWithThePolicy(t *testing.T) {
	w := newWalk(t, Config{})
	p := w.probed("up:1")
	p.answer = ""
	cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, Check: everySecond})
	w.until("it is out", func() bool { return cl.Endpoints()[0].State() == upstream.Unhealthy })
	w.openWith(upstream.Config{Endpoints: []string{"up:1"}})
	if cl.Endpoints()[0].State() != upstream.Healthy {
		t.Error("it is still out, and nobody is left to say that it is well")
	}
	w.pass(time.Second)
	n := len(p.probes)
	w.pass(10 * time.Second)
	if len(p.probes) != n {
		t.Errorf("%d probes that no policy asks for", len(p.probes)-n)
	}
}
