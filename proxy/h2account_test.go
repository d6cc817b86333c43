package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
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

// Exchanges of two routes on one connection: that of the route with a deadline does not take the other with it. Alone it
// is cut in time.
func TestH2RouteDeadlineOfSeveralRoutes(t *testing.T) {
	for name, both := range map[string]bool{"both": true, "one": false} {
		t.Run(name, func(t *testing.T) {
			w := h2Walk(t, Config{})
			clusters, retire := w.core.upstreams.Update([]upstream.Config{{Name: "app", Endpoints: []string{"up:1"}}})
			table, err := route.Compile([]route.Spec{
				{Name: "long", Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/long"}},
				{Name: "short", Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/short"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			entry := func(name string, terms *drain.Terms) Route {
				return Route{Name: name, chain: &chain{}, Cluster: clusters["app"], Authorizer: allowAll{}, stats: w.core.book.route(name), terms: terms}
			}
			w.core.gate.Store(&Snapshot{table: table, routes: []Route{entry("long", nil), entry("short", &drain.Terms{Deadline: time.Second})}})
			retire()
			if err := w.tracker.Open(); err != nil {
				t.Fatal(err)
			}
			w.upstream(func(s *sim.Sock, got []byte) {
				if bytes.Contains(got, []byte("GET /long")) {
					w.net.After(4*time.Second, func() { s.Write([]byte(ok)) })
				}
			})
			p := w.dialH2("web")
			var long *h2call
			if both {
				long = p.call("GET", "/long", true)
			}
			short := p.call("GET", "/short", true)
			w.sleep(100 * time.Millisecond)
			w.drainFor(10 * time.Second)
			for range 120 {
				w.sleep(100 * time.Millisecond)
				w.tracker.Step(w.net.Now())
			}
			if both && (long.status != "200" || !long.whole) {
				t.Errorf("the request of the route without a deadline: status %q, reset %+v", long.status, long.reset)
			}
			if short.status != "503" || !strings.Contains(short.head, "x-sluice-reason: route_deadline\n") {
				t.Errorf("the request of the other: status %q, head %q", short.status, short.head)
			}
		})
	}
}
