package proxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// Ways around the policy and the limits that were tried from outside, each in its
// smallest form.

// Requests of a client that reads no response must wait in its own kernel, not in ours.
func TestResponsesThatNobodyReadsAreBounded(t *testing.T) {
	for name, path := range map[string]string{"answered by us": "/%2f", "forwarded": "/"} {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, Config{})
			w.net.Window = 4096
			w.open()
			w.simple("HTTP/1.1 200 OK\r\nContent-Length: 800\r\n\r\n" + strings.Repeat("x", 800))
			c := w.dial("web")
			c.Pause()
			const n = 1000
			one := "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
			if path != "/" {
				one = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
			}
			c.Write([]byte(strings.Repeat(one, n)))
			c.CloseWrite()
			most, over := 0, false
			w.net.After(30*time.Second, func() { over = true })
			w.net.Run(time.Minute, func() bool {
				for _, l := range w.core.loops {
					for _, r := range l.roles {
						if h, ok := r.(*httpConn); ok {
							most = max(most, l.sh.Queued(h.id))
						}
					}
				}
				return over
			})
			if most > highWater+4096 {
				t.Errorf("%d bytes were queued for a client that reads nothing, want at most about %d", most, highWater)
			}
			c.Resume()
			w.until("the end", func() bool { return c.eof })
			if got := strings.Count(c.got, "HTTP/1.1 "); got != n {
				t.Errorf("%d responses to %d requests", got, n)
			}
		})
	}
}

// An upgrade to another HTTP would be a tunnel around route, authentication and policy.
func TestUpgradeToAnotherHTTPIsIgnored(t *testing.T) {
	for _, protocols := range []string{"h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.2", "http"} {
		w := newWalk(t, Config{})
		w.open()
		w.simple("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: " + protocols + "\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\n"))
		if !strings.HasPrefix(c.got, "HTTP/1.1 502 ") {
			t.Errorf("%s: client got %q", protocols, c.got)
		}
		if strings.Contains(strings.ToLower(w.upReqs[0]), "upgrade") {
			t.Errorf("%s: upstream got %q", protocols, w.upReqs[0])
		}
	}
}

// A client that asked for one protocol is not connected to an upstream that switched to HTTP/2.
func TestUpstreamCannotSwitchToAnotherHTTP(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	w.simple("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
	w.until("an answer", c.has("\r\n\r\n"))
	if !strings.HasPrefix(c.got, "HTTP/1.1 502 ") {
		t.Errorf("client got %q", c.got)
	}
}

// "delete" passes a rule about DELETE, and some servers take it for one.
func TestMethodInOtherLettersIsRefused(t *testing.T) {
	for _, method := range []string{"delete", "Get", "POSt", "trace"} {
		w := newWalk(t, Config{})
		w.open()
		w.simple(ok)
		c := w.dial("web")
		c.Write([]byte(method + " / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\n"))
		if !strings.HasPrefix(c.got, "HTTP/1.1 400 ") || len(w.upReqs) != 0 {
			t.Errorf("%s: client got %q, upstream %q", method, c.got, w.upReqs)
		}
	}
}

// Servers fold every mark in a field name to '_', and believe every X-Forwarded-*.
func TestNamesThatAnUpstreamBelievesAreStripped(t *testing.T) {
	names := []string{"X!Sluice!User", "X-Sluice+User", "x~sluice_groups", "X.Sluice'Email", "X-Forwarded-Port",
		"X-Forwarded-Prefix", "X-Forwarded-User", "X_Forwarded_For", "x!forwarded!proto", "X-Forwarded-Anything", "X|Request|ID", "X^Real^IP"}
	w := newWalk(t, Config{})
	w.open()
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{Data: func(b []byte) {
			w.upReqs = append(w.upReqs, string(b))
			if bytes.HasSuffix(b, []byte("\r\n\r\n")) {
				s.Write([]byte(ok))
			}
		}})
	})
	var evil, trailer strings.Builder
	for _, n := range names {
		evil.WriteString(n + ": evil\r\n")
		if !strings.HasPrefix(n, "X-Forwarded-") { // in a trailer section the message parser refuses these
			trailer.WriteString(n + ": evil\r\n")
		}
	}
	c := w.dial("web")
	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Kept: kept\r\n" + evil.String() + "\r\n"))
	w.until("an answer", c.has("\r\n\r\nhi"))
	c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Kept: kept\r\n" + trailer.String() + "\r\n"))
	w.until("another answer", func() bool { return strings.Count(c.got, "\r\n\r\nhi") == 2 })
	up := strings.Join(w.upReqs, "")
	if strings.Contains(up, "evil") || strings.Count(up, "X-Kept: kept") != 2 {
		t.Errorf("upstream got %q", up)
	}
}

// Beyond the limit a few get their 503; the others are closed, because each descriptor
// that they hold is one that the probes may need.
func TestSurplusConnectionsAreFew(t *testing.T) {
	w := newWalk(t, Config{MaxConnections: 1})
	w.open()
	w.dial("web")
	for range 3 * maxSurplus {
		w.dial("web")
	}
	w.until("the surplus is closed", func() bool { return w.core.Unadmitted() == maxSurplus })
}

// What an upstream sends behind its response must not be the answer to the next request, also
// where a read ends exactly with the response and that request waits to go out at once.
func TestNobodyGetsWhatStandsBehindAResponse(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	w := newWalk(t, Config{})
	w.open()
	heads := 0
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{EOF: func() { s.Close() }, Data: func(b []byte) {
			for range bytes.Count(b, []byte("\r\n\r\n")) {
				if heads++; heads%2 == 0 {
					s.Write([]byte(ok))
					continue
				}
				far := s.Peer() // the proxy's end: all of it is there before the first read
				far.Pause()
				s.Write([]byte(ok + evil))
				w.net.After(time.Second, func() {
					far.ReadMost(len(ok))
					far.Resume()
				})
			}
		}})
	})
	for range 20 { // a read of the simulated network may be shorter
		c := w.dial("web")
		c.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2)))
		w.until("two answers", func() bool { return strings.Count(c.got, "HTTP/1.1 ") >= 2 })
		if strings.Contains(c.got, "evil") {
			t.Fatalf("client got %q", c.got)
		}
		c.Close()
	}
	if n := w.core.Stats().UpstreamsOpen; n > 1 {
		t.Errorf("%d connections are open: those with something behind a response must be closed", n)
	}
}
