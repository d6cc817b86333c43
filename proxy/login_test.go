package proxy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// doorman keeps a cookie of ours: whoever has it is known, others are shown to the desk.
type doorman struct {
	renew  string
	secure []bool
}

func (*doorman) Name() string            { return "doorman" }
func (*doorman) ChallengeHeader() string { return `Cookie realm="x"` }
func (d *doorman) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	d.secure = append(d.secure, r.Secure)
	cookie, n := r.Fields.Field("cookie")
	switch {
	case n == 0 || !strings.Contains(string(cookie), "__Host-sluice_door="):
		return nil, authz.Deny
	case strings.Contains(string(cookie), "__Host-sluice_door=good"):
		return &authz.Identity{Method: "doorman", User: "ann"}, authz.Allow
	}
	return nil, authz.Challenge
}
func (d *doorman) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) { return d.Try(r) }
func (d *doorman) Greet(r *authz.Request) *authz.Answer {
	if !r.Navigates() {
		if _, n := r.Fields.Field("x-script"); n > 0 {
			return &authz.Answer{Status: 401, Reason: "login_required", Fields: []authz.Field{{Name: "WWW-Authenticate", Value: "Test own"}}}
		}
		return nil
	}
	return &authz.Answer{Status: 302, Reason: "login", Fields: []authz.Field{{Name: "Location", Value: "https://idp.test/?to=" + string(r.Authority) + string(r.Path)}}}
}
func (d *doorman) Renew(id *authz.Identity, r *authz.Request) string { return d.renew }

// onlyAnn allows one user.
type onlyAnn struct{}

func (onlyAnn) Authorize(id *authz.Identity, r *authz.Request) authz.Decision {
	switch {
	case id == nil:
		return authz.Decision{Verdict: authz.Challenge, Reason: "authentication_required", Rule: -1}
	case strings.HasPrefix(string(r.Path), "/no"):
		return authz.Decision{Verdict: authz.Deny, Reason: "user-unauthorized", Rule: -1}
	}
	return authz.Decision{Verdict: authz.Allow}
}

func doorWalk(t *testing.T, cfg Config, response string) (*walk, *doorman) {
	d := &doorman{}
	cfg.Authenticators = map[string]authz.Authenticator{"doorman": d}
	w := newWalk(t, cfg)
	w.simple(response)
	w.open()
	r := &w.core.gate.Load().routes[0]
	r.chain, r.Authorizer = &chain{Authenticators: []authz.Authenticator{d}, greeters: []authz.Greeter{d}, renews: true,
		challenges: certificateChallenge}, onlyAnn{}
	return w, d
}

// Where a credential is missing or bad, a person is shown the way; everybody else hears 401.
func TestLoginWhereACredentialIsMissing(t *testing.T) {
	const page = "Accept: text/html\r\n"
	for name, c := range map[string]struct{ head, want string }{
		"a person":              {"GET /a?b HTTP/1.1\r\nHost: h.test:8443\r\n" + page, "HTTP/1.1 302 Found\r\n"},
		"with a bad credential": {"GET /a HTTP/1.1\r\nHost: h.test:8443\r\nCookie: __Host-sluice_door=bad\r\n" + page, "HTTP/1.1 302 Found\r\n"},
		"a tool":                {"GET /a HTTP/1.1\r\nHost: h.test:8443\r\n", "HTTP/1.1 401 Unauthorized\r\n"},
		"a form":                {"POST /a HTTP/1.1\r\nHost: h.test:8443\r\nContent-Length: 0\r\n" + page, "HTTP/1.1 401 Unauthorized\r\n"},
		"who is known":          {"GET /a HTTP/1.1\r\nHost: h.test:8443\r\nCookie: __Host-sluice_door=good\r\n" + page, "HTTP/1.1 200 OK\r\n"},
	} {
		w, d := doorWalk(t, Config{}, ok)
		k := w.dial("web")
		k.Write([]byte(c.head + "\r\n"))
		w.until(name+": an answer", k.has("\r\n\r\n"))
		if !strings.HasPrefix(k.got, c.want) {
			t.Errorf("%s: got %q", name, k.got)
		}
		if strings.HasPrefix(c.want, "HTTP/1.1 302") != strings.Contains(k.got, "Location: https://idp.test/?to=h.test:8443/a\r\n") {
			t.Errorf("%s: got %q", name, k.got)
		}
		if len(d.secure) != 1 || d.secure[0] {
			t.Errorf("%s: secure %v", name, d.secure)
		}
	}
}

// A call looks for its status where calls have it.
func TestLoginIsNotForCalls(t *testing.T) {
	w, _ := doorWalk(t, Config{Listeners: []ListenerConfig{{Name: "web", Protocol: HTTP, HTTP2: true}}}, ok)
	p := w.dialH2("web")
	c := p.call("GET", "/a", true, "accept: text/html", "content-type: application/grpc")
	w.until("an answer", func() bool { return c.whole })
	if !strings.Contains(c.head, "grpc-status: 16\n") {
		t.Errorf("got %q", c.head)
	}
}

// Only the word of a trusted hop makes a plaintext connection one of TLS.
func TestSecureByTheWordOfATrustedHop(t *testing.T) {
	for name, c := range map[string]struct {
		trusted bool
		fields  string
		want    bool
	}{
		"a trusted hop":          {true, "X-Forwarded-Proto: HTTPS\r\n", true},
		"of plaintext":           {true, "X-Forwarded-Proto: http\r\n", false},
		"that says both":         {true, "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", false},
		"that says nothing":      {true, "", false},
		"the word of a stranger": {false, "X-Forwarded-Proto: https\r\n", false},
	} {
		cfg := Config{}
		if c.trusted {
			cfg.TrustedProxies = anyPeer
		}
		w, d := doorWalk(t, cfg, ok)
		k := w.dial("web")
		k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n" + c.fields + "\r\n"))
		w.until("an answer", k.has("\r\n\r\n"))
		if len(d.secure) != 1 || d.secure[0] != c.want {
			t.Errorf("%s: %v", name, d.secure)
		}
	}
}

// Cookies of ours stay between the client and us, whatever else is beside them.
func TestCookiesOfOursStayHere(t *testing.T) {
	for in, want := range map[string]string{
		"__Host-sluice_door=good":                            "",
		"a=1; __Host-sluice_door=good":                       "Cookie: a=1\r\n",
		"__Host-sluice_door=good; a=1;b=2":                   "Cookie: a=1; b=2\r\n",
		"a=1;__Host-sluice_door=good;\tb=2; __host-SLUICE_x": "Cookie: a=1; b=2\r\n",
		"__Host-sluice_door=good; a=__Host-sluice_b":         "Cookie: a=__Host-sluice_b\r\n",
	} {
		w, _ := doorWalk(t, Config{}, ok)
		k := w.dial("web")
		k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + in + "\r\ncookie: c=3\r\nCOOKIE: __Host-sluice_login=x\r\n\r\n"))
		w.until("an answer", k.has("hi"))
		got := w.upReqs[0]
		if !strings.Contains(got, "cookie: c=3\r\n") || strings.Contains(got, "COOKIE") || strings.Contains(got, "Cookie: ") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%q: the upstream got %q", in, got)
		}
	}
	// Where nobody keeps such cookies they are nothing special.
	w := newWalk(t, Config{})
	w.simple(ok)
	w.open()
	k := w.dial("web")
	k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=1\r\n\r\n"))
	w.until("an answer", k.has("hi"))
	if !strings.Contains(w.upReqs[0], "Cookie: __Host-sluice_door=1\r\n") {
		t.Errorf("the upstream got %q", w.upReqs[0])
	}
}

// An upstream sets no cookie of ours, and a credential is renewed with whatever answer.
func TestCookiesOfResponses(t *testing.T) {
	const renewed = "__Host-sluice_door=new; Secure"
	response := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: __Host-sluice_door=evil; Secure; Path=/\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nSet-Cookie: =__Host-sluice_door=evil\r\nSet-Cookie: __HOST-sluice_door=evil; Path=/\r\nset-cookie:  __Host-sluice_door=evil\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nhi"
	for name, c := range map[string]struct{ request, status, body string }{
		"forwarded":      {"GET / HTTP/1.1\r\n", "200", "hi"},
		"denied":         {"GET /no HTTP/1.1\r\n", "403", "not allow"},
		"not authorized": {"GET / HTTP/1.1\r\nX: 1\r\n", "401", "credential"},
	} {
		for _, renew := range []string{"", renewed} {
			w, d := doorWalk(t, Config{}, response)
			d.renew = renew
			k := w.dial("web")
			cookie := "Cookie: __Host-sluice_door=good\r\n"
			if c.status == "401" {
				cookie = ""
			}
			k.Write([]byte(c.request + "Host: a\r\n" + cookie + "\r\n"))
			w.until("an answer", k.has(c.body))
			want := 0
			if renew != "" && c.status != "401" {
				want = 1
			}
			k.got = strings.TrimPrefix(k.got, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
			if strings.Count(k.got, "Set-Cookie: "+renewed+"\r\n") != want || strings.Contains(k.got, "evil") || strings.Contains(k.got, "Set-Cookie: a=b\r\n") != (c.status == "200") || !strings.HasPrefix(k.got, "HTTP/1.1 "+c.status) {
				t.Errorf("%s, renewed by %q: got %q", name, renew, k.got)
			}
		}
	}
}

// A cache in front that many use may keep what a response says it may, and some keep its cookies, too.
func TestRenewalIsInNoResponseThatIsShared(t *testing.T) {
	for control, want := range map[string]bool{
		"":                                   true,
		"Cache-Control: private, max-age=60": true,
		"Cache-Control: no-store":            true,
		"cache-control: max-age=0":           true,
		"Cache-Control: PUBLIC":              false,
		"cache-control: max-age=31536000, immutable":        false,
		"Cache-Control: max-age=0, s-maxage=60":             false,
		"Cache-Control: immutable\r\nCache-Control: public": false,
	} {
		field := control
		if control != "" {
			field += "\r\n"
		}
		w, d := doorWalk(t, Config{}, "HTTP/1.1 200 OK\r\n"+field+"Content-Length: 2\r\n\r\nhi")
		d.renew = "__Host-sluice_door=new"
		k := w.dial("web")
		k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=good\r\n\r\n"))
		w.until("an answer", k.has("hi"))
		got := k.got
		k = w.dial("web")
		d.renew = ""
		k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=good\r\n\r\n"))
		w.until("one that renews nothing", k.has("hi"))
		private := strings.Contains(got, "Cache-Control: private\r\n") && strings.Count(strings.ToLower(got), "cache-control") == 1
		if !strings.Contains(got, "Set-Cookie: __Host-sluice_door=new\r\n") || strings.Contains(got, field) != want || private == want || !strings.Contains(k.got, field) {
			t.Errorf("%q: got %q, and then %q", control, got, k.got)
		}
	}
}

// The next request on the connection is another's, or of the same one who was renewed just now.
func TestRenewalIsOfOneExchange(t *testing.T) {
	w, d := doorWalk(t, Config{}, ok)
	d.renew = "__Host-sluice_door=new"
	k := w.dial("web")
	k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=good\r\n\r\n"))
	w.until("an answer", k.has("hi"))
	k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("the second", k.has("401 "))
	if n := strings.Count(k.got, "Set-Cookie"); n != 1 {
		t.Errorf("%d cookies set: %q", n, k.got)
	}
}

// A switch to another protocol renews as well, and passes nothing of ours.
func TestCookiesOfAnUpgrade(t *testing.T) {
	w, d := doorWalk(t, Config{}, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nSet-Cookie: __Host-sluice_door=evil\r\n\r\n")
	d.renew = "__Host-sluice_door=new"
	k := w.dial("web")
	k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=good\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"))
	w.until("the switch", k.has("\r\n\r\n"))
	if !strings.HasPrefix(k.got, "HTTP/1.1 101 ") || !strings.Contains(k.got, "Set-Cookie: __Host-sluice_door=new\r\n") || strings.Contains(k.got, "evil") {
		t.Errorf("got %q", k.got)
	}
	if strings.Contains(w.upReqs[0], "sluice_door") {
		t.Errorf("the upstream got %q", w.upReqs[0])
	}
}

// Who is denied, and is a person, is shown a page that names the request.
func TestDeniedPage(t *testing.T) {
	page := func(id, reason string, who *authz.Identity) authz.Answer {
		return authz.Answer{Fields: []authz.Field{{Name: "Content-Type", Value: "text/html"}}, Body: []byte("<p>" + reason + " " + who.User + " " + id)}
	}
	for fields, want := range map[string]bool{"Accept: text/html\r\n": true, "Accept: */*\r\n": false, "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n": false} {
		w, _ := doorWalk(t, Config{DeniedPage: page}, ok)
		k := w.dial("web")
		k.Write([]byte("GET /no HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=good\r\n" + fields + "\r\n"))
		w.until("an answer", k.has("\r\n\r\n"))
		if !strings.HasPrefix(k.got, "HTTP/1.1 403 Forbidden\r\n") || strings.Contains(k.got, "<p>user-unauthorized ann ") != want || !strings.Contains(k.got, "X-Sluice-Reason: user-unauthorized\r\n") {
			t.Errorf("%q: got %q", fields, k.got)
		}
		_, id, _ := strings.Cut(k.got, "X-Request-ID: ")
		id, _, _ = strings.Cut(id, "\r\n")
		if want && !strings.HasSuffix(k.got, " "+id) {
			t.Errorf("the page does not name request %s: %q", id, k.got)
		}
	}
}

// A script is told of every way in, once each.
func TestGreetersNameTheOtherChallenges(t *testing.T) {
	w, _ := doorWalk(t, Config{}, ok)
	w.core.gate.Load().routes[0].challenges = []h1.Header{{Name: "WWW-Authenticate", Value: "Test own"}, {Name: "WWW-Authenticate", Value: "Basic x"}}
	k := w.dial("web")
	for range 2 { // the answer of a greeter is not changed
		k.got = ""
		k.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Script: 1\r\n\r\n"))
		w.until("an answer", k.has("\r\n\r\n"))
		if strings.Count(k.got, "WWW-Authenticate: Test own\r\n") != 1 || strings.Count(k.got, "WWW-Authenticate: Basic x\r\n") != 1 || !strings.Contains(k.got, "X-Sluice-Reason: login_required\r\n") {
			t.Errorf("got %q", k.got)
		}
	}
}

// A cookie that is over hides no credential that is good, and does not make anybody anonymous.
func TestStaleCookieBesideAnotherCredential(t *testing.T) {
	for name, c := range map[string]struct{ fields, want string }{
		"a good key":  {"X-Test: ann\r\n", "HTTP/1.1 200 OK\r\n"},
		"a bad key":   {"X-Test: eve\r\n", "HTTP/1.1 401 Unauthorized\r\n"},
		"nothing":     {"", "HTTP/1.1 401 Unauthorized\r\n"},
		"as a person": {"Accept: text/html\r\n", "HTTP/1.1 302 Found\r\n"},
	} {
		w, d := doorWalk(t, Config{}, ok)
		r := &w.core.gate.Load().routes[0]
		r.Authenticators, r.Authorizer = []authz.Authenticator{d, testKey{}}, allowAll{}
		k := w.dial("web")
		for range 2 { // and the next request of the connection is another
			k.got = ""
			k.Write([]byte("GET /a HTTP/1.1\r\nHost: a\r\nCookie: __Host-sluice_door=over\r\n" + c.fields + "\r\n"))
			w.until(name+": an answer", k.has("\r\n\r\n"))
			if !strings.HasPrefix(k.got, c.want) {
				t.Errorf("%s: got %q", name, k.got)
			}
		}
		k.got = ""
		k.Write([]byte("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until(name+": an answer", k.has("\r\n\r\n"))
		if !strings.HasPrefix(k.got, "HTTP/1.1 200 ") { // the rules let everybody in who shows nothing
			t.Errorf("%s: then, without a cookie: %q", name, k.got)
		}
	}
}
