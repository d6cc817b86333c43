package proxy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// A request that is another one by a field is not what was authorised.
func TestClaimsAreRemovedAndOverridesRefused(t *testing.T) {
	for _, name := range []string{"X-Original-URL", "x_rewrite_url", "X-Client.IP", "Proxy", "X-Sendfile-Type", "X-Accel-Mapping", "Remote_User"} {
		w := newWalk(t, Config{})
		w.open()
		w.simple(ok)
		c := w.dial("web")
		c.Write([]byte("GET /public HTTP/1.1\r\nHost: a\r\n" + name + ": evil\r\nX-Kept: kept\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\nhi"))
		if up := w.upReqs[0]; strings.Contains(up, "evil") || !strings.Contains(up, "X-Kept: kept") {
			t.Errorf("%s: upstream got %q", name, up)
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "x_http_method", "X-Method.Override"} {
		w := newWalk(t, Config{})
		w.open()
		w.simple(ok)
		c := w.dial("web")
		c.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\n" + name + ": DELETE\r\nContent-Length: 0\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\n"))
		if !strings.HasPrefix(c.got, "HTTP/1.1 400 ") || len(w.upReqs) != 0 {
			t.Errorf("%s: client got %q, upstream %q", name, c.got, w.upReqs)
		}
	}
}

// RFC 9110 section 7.6.2: each hop counts down, and the last answers itself.
func TestMaxForwardsOfOptions(t *testing.T) {
	for value, want := range map[string]string{"2": "Max-Forwards: 1\r\n", "0": "", "x": "", "": "", "1234567890": ""} {
		w := newWalk(t, Config{})
		w.open()
		w.simple(ok)
		c := w.dial("web")
		c.Write([]byte("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + "\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\n"))
		up := strings.Join(w.upReqs, "")
		if (want == "") != (up == "") || !strings.Contains(up, want) {
			t.Errorf("Max-Forwards %q: upstream got %q", value, up)
		}
	}
}

// Servers that cut path parameters off must not find another route than we did.
func TestPathParametersDoNotHideARoute(t *testing.T) {
	for target, forwarded := range map[string]bool{"/a;x": true, "/a;x/b;y=z": true, "/;": true, "/admin;x": false,
		"/x;/..;/admin": false, "/admin;": false, "/admin;x/users": false, "/a;/../admin;x": false, "/;/admin": false} {
		w := newWalk(t, Config{})
		w.open()
		table, err := route.Compile([]route.Spec{
			{Name: "all", Path: route.PathSpec{Prefix: "/"}}, {Name: "admin", Path: route.PathSpec{Prefix: "/admin"}}})
		if err != nil {
			t.Fatal(err)
		}
		snap := w.core.gate.Load()
		open := snap.routes[0]
		open.PathParameters = true
		shut := open
		shut.Authorizer = denyAll{}
		w.core.gate.Store(&Snapshot{table: table, routes: []Route{open, shut}})
		w.simple(ok)
		c := w.dial("web")
		c.Write([]byte("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("an answer", c.has("\r\n\r\n"))
		if got := len(w.upReqs) > 0; got != forwarded {
			t.Errorf("%s: forwarded %v, client got %q", target, got, c.got)
		}
	}
}

type denyAll struct{}

func (denyAll) Authorize(*authz.Identity, *authz.Request) authz.Decision {
	return authz.Decision{Verdict: authz.Deny, Reason: "reject"}
}
