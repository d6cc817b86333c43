package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// openWith puts one route for everything in force, with that cluster behind it.
func (w *walk) openWith(cfg upstream.Config) *upstream.Cluster {
	w.t.Helper()
	cfg.Name = "app"
	clusters, retire := w.core.upstreams.Update([]upstream.Config{cfg})
	table, err := route.Compile([]route.Spec{{Name: "all", Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.core.gate.Store(&Snapshot{table: table,
		routes: []Route{{Name: "all", chain: &chain{}, Cluster: clusters["app"], Authorizer: allowAll{}, stats: w.core.book.route("all")}},
		tcp:    map[string]*tcpRoute{"db": {Name: "db", Cluster: clusters["app"], Authorizer: allowAll{}}}})
	retire()
	w.core.postAll(sweepNote{})
	if err := w.tracker.Open(); err != nil {
		w.t.Fatal(err)
	}
	return clusters["app"]
}

// pass lets some time pass.
func (w *walk) pass(d time.Duration) {
	over := false
	w.net.After(d, func() { over = true })
	w.until("some time", func() bool { return over })
}

// newWalkOf is newWalk with that many loops.
func newWalkOf(t *testing.T, shards int, cfg Config) *walk {
	w := newWalk(t, cfg)
	w.core.loops = nil
	w.driver = w.net.NewDriver(shards, w.core.Handler)
	for i, ln := range w.core.cfg.Listeners {
		w.driver.Accept(i, w.ln[ln.Name])
	}
	return w
}

// counted answers every head after a while and keeps count of its connections.
type counted struct {
	open, most, ever int
	order            []string // request targets
}

func (w *walk) counted(addr string, think time.Duration) *counted {
	k := &counted{}
	w.net.Listen(addr).Accept(func(s *sim.Sock) {
		k.open++
		k.ever++
		k.most = max(k.most, k.open)
		gone := false
		end := func() {
			if !gone {
				gone = true
				k.open--
			}
		}
		var got []byte
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				got = append(got, b...)
				if !bytes.Contains(got, []byte("\r\n\r\n")) {
					return
				}
				k.order = append(k.order, strings.Fields(string(got))[1])
				got = nil
				w.net.After(think, func() {
					if !gone {
						s.Write([]byte(ok))
					}
				})
			},
			EOF:   func() { end(); s.Close() },
			Reset: end,
		})
	})
	return k
}

// The limit is exact over all loops, everybody is served, and in the order of coming.
func TestMaxConnectionsIsExactOverAllLoops(t *testing.T) {
	for _, limit := range []int{1, 3} {
		w := newWalkOf(t, 3, Config{})
		cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: limit, PendingTimeout: time.Hour})
		k := w.counted("up:1", 20*time.Millisecond)
		clients := make([]*client, 40)
		for i := range clients {
			clients[i] = w.dial("web")
		}
		for i, c := range clients {
			c.Write(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
		}
		w.until("all answers", func() bool {
			for _, c := range clients {
				if !strings.Contains(c.got, "200 OK") {
					return false
				}
			}
			return true
		})
		if k.most > limit {
			t.Errorf("limit %d: %d connections at a time", limit, k.most)
		}
		if conns, waiting, _ := cl.Load(); conns > limit || waiting != 0 {
			t.Errorf("limit %d: %d connections, %d waiting at the end", limit, conns, waiting)
		}
		if k.ever > 15 {
			t.Errorf("limit %d: %d connections for 40 requests: free ones are to be used again", limit, k.ever)
		}
	}
}

// An idle connection of one loop does not keep another loop waiting.
func TestAnIdleConnectionElsewhereIsGivenUp(t *testing.T) {
	w := newWalkOf(t, 2, Config{})
	w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: 1, PendingTimeout: 5 * time.Second})
	k := w.counted("up:1", 0)
	for i := range 6 { // the clients are spread over both loops
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("an answer", c.has("HTTP/1.1 "))
		if !strings.HasPrefix(c.got, "HTTP/1.1 200") {
			t.Fatalf("client %d got %q", i, c.got)
		}
	}
	if k.most > 1 || k.ever < 2 {
		t.Errorf("%d connections at a time, %d ever: want one at a time, on both loops", k.most, k.ever)
	}
}

func TestPendingIsBounded(t *testing.T) {
	w := newWalk(t, Config{})
	cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: 1, MaxPending: 1, PendingTimeout: time.Second})
	w.upstream(func(*sim.Sock, []byte) {}) // never answers
	get := func() *client {
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		return c
	}
	busy := get()
	w.until("the connection is taken", func() bool { return len(w.upReqs) == 1 })
	late := get()
	w.until("one waits", func() bool { _, n, _ := cl.Load(); return n == 1 })
	surplus := get()
	w.until("the surplus is refused", surplus.has("pending_full"))
	w.until("the late one gives up", late.has("pending_timeout"))
	// Nobody waits any more, and the slot is still held by the first.
	gone := get()
	w.until("one waits", func() bool { _, n, _ := cl.Load(); return n == 1 })
	gone.Abort()
	w.until("it left the queue", func() bool { _, n, _ := cl.Load(); return n == 0 })
	busy.Abort()
	w.until("the slot is free", func() bool { n, _, _ := cl.Load(); return n == 0 })
}

// A raised limit lets those go on who wait.
func TestARaisedLimitWakes(t *testing.T) {
	w := newWalk(t, Config{})
	w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: 1, PendingTimeout: time.Hour})
	w.counted("up:1", 30*time.Second)
	a, b := w.dial("web"), w.dial("web")
	a.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	b.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.pass(time.Second)
	began := w.net.Now()
	w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: 2})
	w.until("both answers", func() bool { return a.has("200 OK")() && b.has("200 OK")() })
	if took := w.net.Now().Sub(began); took > 40*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TCP connections wait in the same queue, and a tunnel holds its slot until it ends.
func TestTunnelsCountAsConnections(t *testing.T) {
	w := newWalk(t, Config{})
	cl := w.openWith(upstream.Config{Endpoints: []string{"up:1"}, MaxConnections: 1, PendingTimeout: time.Hour})
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{Data: func(b []byte) { s.Write(b) }, EOF: func() { s.Close() }})
	})
	a, b := w.dial("db"), w.dial("db")
	a.Write([]byte("a"))
	b.Write([]byte("b"))
	w.until("one tunnel, one waits", func() bool { n, q, _ := cl.Load(); return n == 1 && q == 1 && a.got+b.got != "" })
	first, second := a, b
	if b.got != "" {
		first, second = b, a
	}
	first.CloseWrite()
	w.until("the other one", func() bool { return second.got != "" })
	second.Abort()
	w.until("all is given back", func() bool { n, q, _ := cl.Load(); return n == 0 && q == 0 })
}
