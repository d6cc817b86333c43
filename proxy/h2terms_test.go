package proxy

import (
	"math/rand/v2"
	"slices"
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

// Whatever comes and ends on a connection, in whatever order: what is remembered of the routes is what they are, and the
// connection's place in the account is that of the one which a look at all of them would choose.
func TestH2RoutesAreRemembered(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 5))
		w := h2Walk(t, Config{})
		w.open()
		w.upstream(func(s *sim.Sock, got []byte) {
			if strings.HasSuffix(string(got), "\r\n\r\n") {
				w.net.After(time.Duration(1+rng.IntN(50))*time.Millisecond, func() { s.Write([]byte(ok)) })
			}
		})
		names := []string{"a", "b"}
		var specs []route.Spec
		var routes []Route
		for i, name := range names {
			specs = append(specs, route.Spec{Name: name, Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/" + name}})
			r := w.core.gate.Load().routes[0]
			r.Name, r.terms = name, &drain.Terms{Deadline: time.Duration(i+1) * time.Second}
			routes = append(routes, r)
		}
		table, err := route.Compile(specs)
		if err != nil {
			t.Fatal(err)
		}
		w.core.gate.Store(&Snapshot{table: table, routes: routes})
		p := w.dialH2("web")
		var calls []*h2call
		check := func() {
			for _, r := range w.core.loops[0].roles {
				c, ok := r.(*h2Conn)
				if !ok || c.core.Streams() == 0 {
					continue
				}
				mixed, only, shown := c.mixed, c.only, w.shownRoute()
				c.retime()
				if c.mixed != mixed || c.only != nil && only != c.only || mixed && only != nil {
					t.Fatalf("seed %d: mixed is %v, one route is known: %v, and not %v", seed, mixed, only != nil, c.mixed)
				}
				if c.only != nil && shown != c.only.Name {
					t.Fatalf("seed %d: the account shows %q, and all are on %q", seed, shown, c.only.Name)
				}
			}
		}
		for range 60 {
			path := []string{"/a", "/a", "/a", "/b", "/nowhere"}[rng.IntN(5)]
			calls = append(calls, p.call("GET", path, true))
			wait := calls[rng.IntN(len(calls))]
			if rng.IntN(3) == 0 {
				w.until("one of them ends", func() bool { check(); return wait.done })
			}
			check()
		}
		w.until("all end", func() bool {
			check()
			return !slices.ContainsFunc(calls, func(c *h2call) bool { return !c.done })
		})
		p.Close()
		w.noneLeft()
	}
}

// shownRoute is the route that the account shows of the one connection.
func (w *walk) shownRoute() string {
	if all := w.tracker.Snapshot(1); len(all) > 0 {
		return all[0].Route
	}
	return ""
}
