package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/proxyproto"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

var anyPeer = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// behind is a proxy whose listeners are fed by another one.
func behind(t *testing.T, from []netip.Prefix) *walk {
	return newWalk(t, Config{Listeners: []ListenerConfig{{Name: "web", ProxyFrom: from}, {Name: "db", Protocol: TCP, ProxyFrom: from}}})
}

// sourceIs allows one source only.
type sourceIs string

func (s sourceIs) Authorize(_ *authz.Identity, r *authz.Request) authz.Decision {
	if r.Source.String() == string(s) {
		return authz.Decision{Verdict: authz.Allow}
	}
	return authz.Decision{Verdict: authz.Deny, Reason: "source"}
}

const clientHeader = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"

// Whom the header names is the source: for the policy, the upstream and the account;
// whatever pieces it comes in, and with the request behind it.
func TestTheHeaderNamesTheSource(t *testing.T) {
	v2 := string(proxyproto.Append(nil, 2, proxyproto.Header{Source: netip.MustParseAddrPort("203.0.113.7:4711"), Destination: netip.MustParseAddrPort("192.0.2.1:80")}))
	for _, header := range []string{clientHeader, v2} {
		for _, pause := range []int{0, 1, len(header) - 1, len(header)} {
			w := behind(t, anyPeer)
			w.open()
			w.core.gate.Load().routes[0].Authorizer = sourceIs("203.0.113.7")
			w.simple(ok)
			c := w.dial("web")
			c.Write([]byte(header[:pause]))
			w.pass(time.Second)
			c.Write([]byte(header[pause:] + "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.until("a response", c.has("\r\n\r\nhi"))
			c.Write([]byte("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.until("another", func() bool { return strings.Count(c.got, "\r\n\r\nhi") == 2 })
			if !strings.HasPrefix(c.got, "HTTP/1.1 200") || strings.Count(w.upReqs[0], "X-Forwarded-For: 203.0.113.7\r\n") != 2 {
				t.Errorf("client got %q, upstream %q", c.got, w.upReqs)
			}
			if h := w.tracker.Snapshot(9); len(h) != 1 || h[0].Peer != "203.0.113.7:4711" {
				t.Errorf("the account says %+v", h)
			}
		}
	}
}

func TestTheHeaderNamesTheSourceOfATunnel(t *testing.T) {
	w := behind(t, anyPeer)
	w.open()
	w.core.gate.Load().tcp["db"].Authorizer = sourceIs("203.0.113.7")
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{Data: func(b []byte) { s.Write(b) }, EOF: func() { s.Close() }})
	})
	c := w.dial("db")
	c.Write([]byte(clientHeader + "early"))
	w.until("what came behind the header", c.has("early"))
	c.Write([]byte(" late"))
	w.until("the rest", c.has("early late"))
	// A health check of the proxy in front is from itself, whom the policy does not allow.
	local := w.dial("db")
	local.Write([]byte("PROXY UNKNOWN\r\nx"))
	w.until("the refusal", func() bool { return local.eof || local.reset })
}

func refusals(w *walk, listener int) uint64 {
	return w.core.listeners[listener].refused[refusedProxyHeader].Load()
}

// A stranger, and whoever sends no header, is closed and counted; nothing is answered.
func TestWithoutAHeaderNothingIsServed(t *testing.T) {
	strangers := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for name, tt := range map[string]struct {
		from []netip.Prefix
		send string
	}{
		"stranger":    {strangers, clientHeader + "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"no header":   {anyPeer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"bad version": {anyPeer, "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00"},
		"endless":     {anyPeer, "PROXY UNKNOWN " + strings.Repeat("x", 200)},
		"silence":     {anyPeer, ""},
		"half":        {anyPeer, "PROXY TCP4 203.0"},
	} {
		for i, listener := range []string{"web", "db"} {
			t.Run(name+" "+listener, func(t *testing.T) {
				w := behind(t, tt.from)
				w.open()
				w.simple(ok)
				c := w.dial(listener)
				began := w.net.Now()
				if tt.send != "" {
					c.Write([]byte(tt.send))
				}
				w.until("the close", func() bool { return c.eof || c.reset })
				if took := w.net.Now().Sub(began); took > 12*time.Second {
					t.Errorf("it took %v", took)
				}
				if c.got != "" || len(w.upReqs) != 0 || refusals(w, i) != 1 {
					t.Errorf("client got %q, upstream %q, counted %d", c.got, w.upReqs, refusals(w, i))
				}
				c.Close()
				w.until("it is forgotten", func() bool { return w.driver.Conns() == 0 && w.core.Unadmitted() == 0 })
			})
		}
	}
}

// The drain waits for a connection whose header is on its way, and its request is served.
func TestTheDrainWaitsForAHeader(t *testing.T) {
	w := behind(t, anyPeer)
	w.open()
	w.simple(ok)
	c := w.dial("web")
	c.Write([]byte(clientHeader[:10]))
	w.pass(time.Second)
	w.drain(15 * time.Second)
	w.pass(7 * time.Second) // longer than idle connections live
	c.Write([]byte(clientHeader[10:] + "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the response", c.has("hi"))
	c.Close()
	w.until("drained", func() bool { return w.tracker.State().String() == "drained" })
	if r := w.tracker.Receipt(); !r.Clean() {
		t.Errorf("receipt %v", r)
	}
}

// Towards the upstream every connection begins with the header of its client, and none is
// used for another one.
func TestTheHeaderGoesOut(t *testing.T) {
	for version := 1; version <= 2; version++ {
		w := newWalk(t, Config{})
		w.openWith(upstream.Config{Endpoints: []string{"up:1"}, ProxyProtocol: version})
		w.net.Listen("up:1").Accept(func(s *sim.Sock) {
			i := len(w.upReqs)
			w.upReqs = append(w.upReqs, "")
			s.SetEvents(sim.Events{EOF: func() { s.Close() }, Data: func(b []byte) {
				if w.upReqs[i] += string(b); strings.Contains(w.upReqs[i], "GET") && strings.HasSuffix(w.upReqs[i], "\r\n\r\n") {
					s.Write([]byte(ok))
				}
			}})
		})
		a, b := w.dial("web"), w.dial("web")
		for i, c := range []*client{a, b, a} {
			c.Write(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
			want := 1 + i/2
			w.until("a response", func() bool { return strings.Count(c.got, "\r\n\r\nhi") == want })
		}
		if len(w.upReqs) != 3 {
			t.Fatalf("version %d: %d connections for 3 requests", version, len(w.upReqs))
		}
		for i, c := range []*client{a, b, a} {
			h, n, err := proxyproto.Parse([]byte(w.upReqs[i]))
			if err != nil || h.Source != c.Addr || !strings.HasPrefix(w.upReqs[i][n:], fmt.Sprintf("GET /%d ", i)) {
				t.Errorf("version %d: connection %d began with %q (%v, %v), want the source %v", version, i, w.upReqs[i], h, err, c.Addr)
			}
		}
		d := w.dial("db")
		d.Write([]byte("raw"))
		w.until("the tunnel", func() bool { return len(w.upReqs) == 4 && strings.HasSuffix(w.upReqs[3], "raw") })
		if h, n, err := proxyproto.Parse([]byte(w.upReqs[3])); err != nil || h.Source != d.Addr || w.upReqs[3][n:] != "raw" {
			t.Errorf("version %d: the tunnel began with %q", version, w.upReqs[3])
		}
	}
}
