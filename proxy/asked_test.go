package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/sim"
)

// witness writes down what it is asked about, but for the time, and allows it.
type witness struct{ heard []string }

func (a *witness) Authorize(id *authz.Identity, r *authz.Request) authz.Decision {
	user := ""
	if id != nil {
		user = id.User
	}
	a.heard = append(a.heard, fmt.Sprintf("%s %s %q%q?%q from %v, preflight %v, by %q", r.Route, r.Method, r.Host, r.Path, r.Query, r.Source, r.Preflight, user))
	return authz.Decision{Verdict: authz.Allow}
}

// TestAskedAgainAsAtFirst: a decision about an open stream is asked for what the first one was asked for, whatever the stream.
func TestAskedAgainAsAtFirst(t *testing.T) {
	heads := []string{
		"GET /a//b/%7Ec?q=1&r HTTP/1.1\r\nHost: A.Test:8080\r\nX-Login: ann\r\n",
		"GET / HTTP/1.0\r\nX-Login: ann\r\n",
		"PATCH /x HTTP/1.1\r\nHost: [::1]:80\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.9\r\nContent-Length: 0\r\n",
		"OPTIONS /p HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: PUT\r\n",
		"REPORT /p HTTP/1.1\r\nHost: a.test.\r\n",
	}
	for _, head := range heads {
		for _, upgrade := range []bool{false, true} {
			if upgrade && !strings.HasPrefix(head, "GET /a") {
				continue
			}
			w := newWalk(t, Config{Sessions: newLogins(), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
			w.open()
			w.guard()
			a := &witness{}
			w.core.gate.Load().routes[0].Authorizer = a
			answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
			if upgrade {
				answer = strings.Replace(switchesWS, "websocket", "raw", 1)
				head += "Connection: Upgrade\r\nUpgrade: raw\r\n"
			}
			w.simple(answer)
			c := w.dial("web")
			c.Write([]byte(head + "\r\n"))
			w.until("the stream", c.has("\r\n\r\n"))
			w.enforce(a, nil)
			w.until("another decision", func() bool { return len(a.heard) == 2 })
			if a.heard[0] != a.heard[1] {
				t.Errorf("%q, upgrade %v:\nfirst %s\nagain %s", head, upgrade, a.heard[0], a.heard[1])
			}
			c.Abort()
			w.noneLeft()
		}
	}
}

// TestAskedAgainOverHTTP2: the same for a call, which is a stream before its answer; the handshake of a WebSocket that waits is left alone.
func TestAskedAgainOverHTTP2(t *testing.T) {
	w := h2Walk(t, Config{Sessions: newLogins()})
	w.open()
	w.guard()
	a := &witness{}
	w.core.gate.Load().routes[0].Authorizer = a
	w.simple("")
	p := w.dialH2("web")
	p.call("CONNECT", "/chat?room=1", false, ":protocol: websocket", "x-login: ann")
	call(p, "/s/m", "x-login: bob")
	w.until("both", func() bool { return len(a.heard) == 2 })
	up := 0
	w.until("the requests", func() bool {
		up = 0
		for _, r := range w.upReqs {
			if strings.HasSuffix(r, "\r\n\r\n") {
				up++
			}
		}
		return up == 2
	})
	w.enforce(a, nil)
	w.until("the call is decided about again", func() bool { return len(a.heard) == 3 })
	if a.heard[2] != a.heard[1] || !strings.Contains(a.heard[2], "POST") {
		t.Errorf("%q", a.heard)
	}
	p.Close()
	w.noneLeft()
}

// TestPolicyChangesDuringADial: a connection of a TCP route that was allowed, and is not any more when its upstream answers, gets no tunnel.
func TestPolicyChangesDuringADial(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	got := ""
	w.net.Listen("up:1").Accept(func(s *sim.Sock) { s.SetEvents(sim.Events{Data: func(b []byte) { got += string(b) }}) })
	c := w.dial("db")
	w.until("the dial", func() bool {
		for _, r := range w.core.loops[0].roles {
			if c, ok := r.(*tcpConn); ok && c.dial != nil {
				return true
			}
		}
		return false
	})
	snap := *w.core.gate.Load()
	snap.tcp = map[string]*tcpRoute{}
	w.core.gate.Store(&snap) // and the loop is not told yet
	c.Write([]byte("secret"))
	w.until("the end", func() bool { return c.reset || c.eof })
	if got != "" {
		t.Errorf("the upstream got %q", got)
	}
	w.noneLeft()
	w.barred(policyChanged, 1)
}
