package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type allowAll struct{}

func (allowAll) Authorize(*authz.Identity, *authz.Request) authz.Decision {
	return authz.Decision{Verdict: authz.Allow, Reason: "accept"}
}

// walk is a proxy over a simulated network, with one scripted upstream at "up:1".
type walk struct {
	t       *testing.T
	net     *sim.Net
	core    *Core
	driver  *sim.Driver
	tracker *drain.Tracker
	ln      map[string]*sim.Listener
	upReqs  []string // what each upstream connection received, raw
}

func newWalk(t *testing.T, cfg Config) *walk {
	w := &walk{t: t, net: sim.New(1), ln: map[string]*sim.Listener{}}
	w.tracker = drain.New(drain.Config{Now: w.net.Now, AfterFunc: w.net.After})
	if cfg.Listeners == nil {
		cfg.Listeners = []ListenerConfig{{Name: "web", Protocol: HTTP}, {Name: "db", Protocol: TCP}}
	}
	cfg.Seed, cfg.AfterFunc = 1, w.net.After
	w.core = NewCore(cfg, w.tracker, func(shard int, v any) { w.driver.Post(shard, v) })
	w.driver = w.net.NewDriver(1, w.core.Handler)
	for i, ln := range cfg.Listeners {
		w.ln[ln.Name] = w.net.Listen(ln.Name)
		w.driver.Accept(i, w.ln[ln.Name])
	}
	return w
}

// open puts one route for everything in force and opens the tracker.
func (w *walk) open() {
	clusters, retire := w.core.upstreams.Update([]upstream.Config{{Name: "app", Endpoints: []string{"up:1"}}})
	table, err := route.Compile([]route.Spec{{Name: "all", Hosts: []string{"*"}, Path: route.PathSpec{Prefix: "/"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.core.gate.Store(&Snapshot{table: table,
		routes: []Route{{Name: "all", chain: &chain{}, Cluster: clusters["app"], Authorizer: allowAll{}, stats: w.core.book.route("all")}},
		tcp:    map[string]*tcpRoute{"db": {Name: "db", Cluster: clusters["app"], Authorizer: allowAll{}}}})
	retire()
	if err := w.tracker.Open(); err != nil {
		w.t.Fatal(err)
	}
}

// upstream answers each connection by what serve does with the bytes so far.
func (w *walk) upstream(serve func(s *sim.Sock, got []byte)) {
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		i := len(w.upReqs)
		w.upReqs = append(w.upReqs, "")
		var got []byte
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				w.upReqs[i] += string(b)
				got = append(got, b...)
				n := len(got)
				serve(s, got)
				if bytes.Contains(got[:n], []byte("\r\n\r\n")) {
					got = nil
				}
			},
			EOF: func() { s.Close() },
		})
	})
}

// simple answers every complete head with a fixed response.
func (w *walk) simple(resp string) {
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.HasSuffix(got, []byte("\r\n\r\n")) {
			s.Write([]byte(resp))
		}
	})
}

// client is a scripted client: it writes, and gathers what comes.
type client struct {
	*sim.Sock
	got   string
	eof   bool
	reset bool
	err   error
}

func (w *walk) dial(addr string) *client {
	c := &client{}
	up := false
	c.Sock = w.net.Dial(addr, sim.Events{
		Connected: func(err error) { c.err, up = err, true },
		Data:      func(b []byte) { c.got += string(b) },
		EOF:       func() { c.eof = true },
		Reset:     func() { c.reset = true },
	})
	w.net.Run(time.Minute, func() bool { return up })
	return c
}

func (w *walk) until(what string, done func() bool) {
	w.t.Helper()
	if !w.net.Run(20*time.Minute, done) {
		w.t.Fatalf("never: %s (upstream got %q, conns %d, now %v)", what, w.upReqs, w.driver.Conns(), w.net.Now().Sub(sim.Epoch))
	}
}

func (c *client) has(s string) func() bool {
	return func() bool { return strings.Contains(c.got, s) }
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

func TestGetThenReuse(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.simple(ok)
	c := w.dial("web")
	for i := 1; i <= 3; i++ {
		c.Write([]byte("GET /a?x=1 HTTP/1.1\r\nHost: Example.com\r\nX-Sluice-User: evil\r\nx_sluice_user: evil\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"))
		w.until("a response", func() bool { return strings.Count(c.got, "\r\n\r\nhi") == i })
	}
	if len(w.upReqs) != 1 {
		t.Errorf("%d upstream connections for 3 requests, want 1", len(w.upReqs))
	}
	up := w.upReqs[0]
	for _, want := range []string{"GET /a?x=1 HTTP/1.1\r\nHost: example.com\r\n", "X-Forwarded-For: 10.0.", "Via: 1.1 sluice\r\n"} {
		if !strings.Contains(up, want) {
			t.Errorf("upstream got %q, want %q in it", up, want)
		}
	}
	for _, not := range []string{"evil", "X-Hop", "Connection"} {
		if strings.Contains(up, not) {
			t.Errorf("upstream got %q with %q in it", up, not)
		}
	}
	if strings.Contains(c.got, "close") {
		t.Errorf("client got %q", c.got)
	}
}

func TestPipelined(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	n := 0
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.HasSuffix(got, []byte("\r\n\r\n")) {
			n++
			fmt.Fprintf(writer{s}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d", n)
		}
	})
	c := w.dial("web")
	c.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 20)))
	w.until("20 responses in order", func() bool { return strings.HasSuffix(c.got, "\r\n\r\n20") })
	c.CloseWrite()
	w.until("everything closed", func() bool { return c.eof })
}

type writer struct{ *sim.Sock }

func (w writer) Write(b []byte) (int, error) { w.Sock.Write(b); return len(b), nil }

func TestChunkedBothWaysAndTrailers(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.HasSuffix(got, []byte("0\r\nX-T: 1\r\n\r\n")) {
			s.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-U: 2\r\n\r\n"))
		}
	})
	// The scripted upstream forgets what it got at the end of a head; keep all.
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		var got []byte
		s.SetEvents(sim.Events{Data: func(b []byte) {
			got = append(got, b...)
			if bytes.HasSuffix(got, []byte("0\r\nX-T: 1\r\n\r\n")) {
				w.upReqs = append(w.upReqs, string(got))
				s.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-U: 2\r\n\r\n"))
			}
		}})
	})
	c := w.dial("web")
	c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX_Sluice.User: evil\r\nX-T: 1\r\n\r\n"))
	w.until("the response", c.has("0\r\nX-U: 2\r\n\r\n"))
	if len(w.upReqs) != 1 || !strings.Contains(w.upReqs[0], "hello") || strings.Contains(w.upReqs[0], "x=y") {
		t.Errorf("upstream got %q", w.upReqs)
	}
}

func TestUpstreamClosesWithoutAnswer(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) { s.Close() })
	c := w.dial("web")
	c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"))
	w.until("502", c.has("502 Bad Gateway"))
	if len(w.upReqs) != 1 {
		t.Errorf("a POST went out %d times", len(w.upReqs))
	}
}

func TestStaleConnectionIsRetriedForGET(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	n := 0
	w.upstream(func(s *sim.Sock, got []byte) {
		if !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
			return
		}
		if n++; n == 2 {
			s.Close() // the pooled connection goes away with the second request in it
			return
		}
		s.Write([]byte(ok))
	})
	c := w.dial("web")
	for i := 1; i <= 2; i++ {
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("200", func() bool { return strings.Count(c.got, "200 OK") == i })
	}
	if strings.Contains(c.got, "502") {
		t.Errorf("client got %q", c.got)
	}
}

func TestTruncatedResponseLooksTruncated(t *testing.T) {
	for name, resp := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nhalf",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, Config{})
			w.open()
			w.upstream(func(s *sim.Sock, got []byte) {
				s.Write([]byte(resp))
				s.CloseWrite()
			})
			c := w.dial("web")
			c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.until("an end", func() bool { return c.eof || c.reset })
			if strings.Contains(c.got, "\r\n0\r\n") {
				t.Errorf("client got %q: it looks whole", c.got)
			}
		})
	}
}

func TestNothingBeforeThePolicy(t *testing.T) {
	w := newWalk(t, Config{})
	w.simple(ok)
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the refusal", func() bool { return c.eof })
	if !strings.HasPrefix(c.got, "HTTP/1.1 503 ") || !strings.Contains(c.got, "Retry-After: 1\r\n") || !strings.Contains(c.got, "Connection: close") {
		t.Errorf("client got %q", c.got)
	}
	d := w.dial("db")
	w.until("the close", func() bool { return d.eof || d.reset })
	if len(w.upReqs) != 0 {
		t.Errorf("the upstream got %q", w.upReqs)
	}
	// Accepted before, asked after: served.
	c = w.dial("web")
	w.open()
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("a response", c.has("200 OK"))
}

func TestUpgradeBecomesATunnel(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		var got []byte
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				got = append(got, b...)
				if bytes.HasSuffix(got, []byte("\r\n\r\n")) {
					s.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome "))
					got = nil
					return
				}
				if len(got) > 0 {
					s.Write(b)
				}
			},
			EOF: func() { s.Write([]byte(" bye")); s.CloseWrite(); s.Close() },
		})
	})
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
	w.until("the greeting", c.has("welcome "))
	c.Write([]byte("ping"))
	w.until("the echo", c.has("ping"))
	c.CloseWrite()
	w.until("the far side's last words", func() bool { return strings.HasSuffix(c.got, " bye") && c.eof })
	c.Close()
	w.until("all handles back", func() bool { return len(w.tracker.Snapshot(9)) == 0 })
}

func TestDrain(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	var held *sim.Sock
	w.upstream(func(s *sim.Sock, got []byte) {
		if bytes.Contains(got, []byte("/slow")) {
			held = s
			return
		}
		s.Write([]byte(ok))
	})
	slow, idle := w.dial("web"), w.dial("web")
	slow.Write([]byte("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
	idle.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("one response and one in flight", func() bool { return strings.Contains(idle.got, "hi") && held != nil })
	w.tracker.BeginDrain(w.net.Now(), w.net.Now().Add(15*time.Second))
	idle.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("goodbye on the next response", func() bool { return strings.Contains(idle.got, "Connection: close") && idle.eof })
	idle.Close()
	held.Write([]byte(ok))
	w.until("the slow one too", func() bool { return strings.Contains(slow.got, "Connection: close") && slow.eof })
	slow.Close()
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	if r := w.tracker.Receipt(); !r.Clean() {
		t.Errorf("receipt: %v", r)
	}
}

func TestDeadlineCutsAndNames(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.upstream(func(s *sim.Sock, got []byte) {})
	c := w.dial("web")
	c.Write([]byte("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("it is in flight", func() bool { return len(w.upReqs) == 1 && w.upReqs[0] != "" })
	deadline := w.net.Now().Add(10 * time.Second)
	w.tracker.BeginDrain(w.net.Now(), deadline)
	var step func()
	step = func() {
		if next, done := w.tracker.Step(w.net.Now()); !done {
			w.net.After(next.Sub(w.net.Now()), step)
		}
	}
	step()
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	r := w.tracker.Receipt()
	if r.Clean() {
		t.Errorf("receipt: %v", r)
	}
	w.until("the client hears", func() bool { return c.eof })
	if !strings.HasPrefix(c.got, "HTTP/1.1 503 ") {
		t.Errorf("client got %q", c.got)
	}
}

func TestTCPTunnel(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{
			Data: func(b []byte) { s.Write(b) },
			EOF:  func() { s.CloseWrite() },
		})
	})
	c := w.dial("db")
	want := strings.Repeat("0123456789", 50_000)
	c.Write([]byte(want))
	c.CloseWrite()
	w.until("everything echoed", func() bool { return c.eof || c.reset })
	if c.got != want {
		t.Errorf("got %d of %d bytes", len(c.got), len(want))
	}
}

var _ engine.Handler = (*loop)(nil)

// HTTP/1.1 to the upstream needs a Host (RFC 9112 section 3.2): without one from the
// client it is the cluster's first endpoint, and nobody is told of a forwarded host.
func TestRequestWithoutHost(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.simple(ok)
	c := w.dial("web")
	c.Write([]byte("GET /a HTTP/1.0\r\n\r\n"))
	w.until("the response", c.has("200 OK"))
	if up := w.upReqs[0]; !strings.HasPrefix(up, "GET /a HTTP/1.1\r\nHost: up:1\r\n") || strings.Contains(up, "X-Forwarded-Host") {
		t.Errorf("upstream got %q", up)
	}
}
