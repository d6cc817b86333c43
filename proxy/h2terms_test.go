package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// Requests of several routes share a connection: what the route of one says about a drain takes nothing from the other, whichever
// came last.
func TestH2TermsOfSeveralRoutes(t *testing.T) {
	for _, last := range []string{"/short", "/nowhere"} {
		w := h2Walk(t, Config{})
		w.open()
		w.upstream(func(s *sim.Sock, got []byte) {
			switch {
			case !strings.HasSuffix(string(got), "\r\n\r\n"):
			case strings.HasPrefix(string(got), "GET /events "):
				s.Write([]byte("HTTP/1.1 200 OK\r\n" + chunkedEvents + "\r\n\r\n" + chunk("data: 1\n\n")))
			case strings.HasPrefix(string(got), "GET /long "):
				s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlo"))
				w.net.After(8*time.Second, func() { s.Write([]byte("ng")) })
			default:
				s.Write([]byte(ok))
			}
		})
		spec := func(name string) route.Spec {
			return route.Spec{Name: name, Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/" + name}}
		}
		table, err := route.Compile([]route.Spec{spec("events"), spec("long"), spec("short")})
		if err != nil {
			t.Fatal(err)
		}
		all := w.core.gate.Load().routes[0]
		made := func(name string, terms *drain.Terms) Route {
			r := all
			r.Name, r.terms = name, terms
			return r
		}
		routes := []Route{made("events", &drain.Terms{EarlyStreams: true}), made("long", nil), made("short", &drain.Terms{Deadline: 2 * time.Second})}
		routes[0].streams = streamEnded
		w.core.gate.Store(&Snapshot{table: table, routes: routes})
		p := w.dialH2("web")
		events, long := p.call("GET", "/events", true), p.call("GET", "/long", true)
		w.until("both began", func() bool { return events.body.Len() > 0 && long.body.Len() == 2 })
		c := p.call("GET", last, true)
		w.until("the third", func() bool { return c.done })
		w.drainFor(30 * time.Second)
		w.drain(30 * time.Second)
		w.until("the stream ends", func() bool { return events.whole || events.reset != nil })
		if !events.whole || !hint.MatchString(events.body.String()) {
			t.Errorf("after %s: the stream ended with %q, reset %v", last, events.body.String(), events.reset)
		}
		w.until("the long one ends", func() bool { return long.whole || long.reset != nil })
		if long.body.String() != "long" {
			t.Errorf("after %s: the long one was cut, with %q", last, long.body.String())
		}
		w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
		if r := w.tracker.Receipt(); !r.Clean() || r.Audit() != nil {
			t.Errorf("after %s: %v, %v", last, r, r.Audit())
		}
		w.noneLeft()
	}
}
