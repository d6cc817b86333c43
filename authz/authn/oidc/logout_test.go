package oidc

import (
	"crypto/x509"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/session"
)

func TestLogout(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		b.login(p, "/")
		stolen := newClone(b)
		a := b.get("/.sluice/logout")
		if want(t, "the page", a, 200, "logout"); !strings.Contains(string(a.Body), `<form method="post" action="/.sluice/logout">`) || b.identity() == nil {
			t.Errorf("%s", a.Body)
		}
		if csp := field(a, "Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:") {
			t.Errorf("a browser would not follow to the provider: %s", csp)
		}
		for name, f := range map[string]fields{
			"another site": {"sec-fetch-site": "cross-site", "origin": "https://evil.test"}, "a neighbour": {"sec-fetch-site": "same-site"},
			"another origin": {"origin": "https://evil.test"}, "null": {"origin": "null"}, "nothing": {}, "http": {"origin": "http://app.test"},
			"a link": {"sec-fetch-site": "none"},
		} {
			a := b.do("POST", "/.sluice/logout", f, "")
			if want(t, name, a, 403, "logout_foreign"); b.identity() == nil {
				t.Fatalf("%s logged out", name)
			}
		}
		a = b.do("POST", "/.sluice/logout", fields{"origin": "https://app.test"}, "")
		want(t, "the button", a, 303, "logout")
		u, err := url.Parse(field(a, "Location"))
		if err != nil || u.Host != "idp.test" || u.Query().Get("x") != "1" || u.Query().Get("client_id") != clientID || u.Query().Get("post_logout_redirect_uri") != "https://app.test/.sluice/signed-out" {
			t.Errorf("%v %s", err, u)
		}
		if len(b.cookies) != 0 || b.identity() != nil {
			t.Errorf("cookies left: %v", b.cookies)
		}
		if stolen.identity() != nil {
			t.Error("a copy of the cookie is a session still")
		}
		a = b.get("/.sluice/signed-out")
		want(t, "signed out", a, 200, "signed_out")
		want(t, "nobody's", b.do("POST", "/.sluice/logout", fields{"sec-fetch-site": "same-origin"}, ""), 303, "logout")
		want(t, "DELETE", b.do("DELETE", "/.sluice/logout", nil, ""), 405, "login_method")
		want(t, "POST", b.do("POST", "/.sluice/signed-out", nil, ""), 405, "login_method")
	})
}

func TestLogoutWithoutTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t)
		p.alters = func(d map[string]any) { delete(d, "end_session_endpoint") }
		b := newBrowser(t, start(t, p, nil))
		a := b.do("POST", "/.sluice/logout", fields{"sec-fetch-site": "same-origin"}, "")
		if want(t, "the button", a, 303, "logout"); field(a, "Location") != "https://app.test/.sluice/signed-out" {
			t.Error(field(a, "Location"))
		}
	})
}

// logoutToken is one as it should be; nil as a value: without.
func logoutToken(t *testing.T, p *idp, change map[string]any) string {
	now := time.Now()
	claims := map[string]any{"iss": p.issuer, "aud": clientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": "j-1", "sub": "u-1", "sid": "idp-1",
		"events": map[string]any{logoutEvent: map[string]any{}}}
	for name, v := range change {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	s := p.signing
	if s.header == nil {
		s.header = map[string]any{"typ": "logout+jwt"}
	}
	return url.Values{"logout_token": {s.sign(t, claims)}}.Encode()
}

func TestBackchannelLogout(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		provider := newBrowser(t, r)
		post := func(form string) authz.Answer {
			return provider.do("POST", "/.sluice/backchannel-logout", fields{"content-type": "application/x-www-form-urlencoded"}, form)
		}
		b, same, other := newBrowser(t, r), newBrowser(t, r), newBrowser(t, r)
		b.login(p, "/")
		same.login(p, "/") // the same session of the provider
		p.set(func(p *idp) { p.claims = map[string]any{"sid": "idp-2"} })
		other.login(p, "/")
		form := logoutToken(t, p, nil)
		a := post(form)
		if want(t, "by sid", a, 200, "logout_token"); b.identity() != nil || same.identity() != nil || other.identity() == nil {
			t.Errorf("%v %v %v", b.identity(), same.identity(), other.identity())
		}
		if field(a, "Cache-Control") != "no-store" {
			t.Errorf("%+v", a.Fields)
		}
		want(t, "the same once more", post(form), 400, "logout_token")
		want(t, "by sub", post(logoutToken(t, p, map[string]any{"sid": nil, "jti": "j-2"})), 200, "logout_token")
		if other.identity() != nil {
			t.Error("who was named by sub is in")
		}
		time.Sleep(2 * time.Second)
		if want(t, "a login afterwards", other.login(p, "/"), 303, "login_done"); other.identity() == nil {
			t.Error("who logs in afterwards is out")
		}
	})
}

func TestLogoutTokensThatAreRefused(t *testing.T) {
	k := chain()
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		b.login(p, "/")
		signed := p.signing
		for name, tt := range map[string]struct {
			claims map[string]any
			sign   func(*signing)
		}{
			"none":                {sign: func(s *signing) { s.alg = "none" }},
			"HS256":               {sign: func(s *signing) { s.alg, s.key = jose.HS256, der(t, k.rsa.Public()) }},
			"another's key":       {sign: func(s *signing) { s.key = k.other }},
			"an access token":     {sign: func(s *signing) { s.header = map[string]any{"typ": "at+jwt"} }},
			"with a nonce":        {claims: map[string]any{"nonce": "x"}},
			"no events":           {claims: map[string]any{"events": nil}},
			"another event":       {claims: map[string]any{"events": map[string]any{"x": map[string]any{}}}},
			"an event, null":      {claims: map[string]any{"events": map[string]any{logoutEvent: nil}}},
			"an event, text":      {claims: map[string]any{"events": map[string]any{logoutEvent: "yes"}}},
			"another issuer":      {claims: map[string]any{"iss": "https://evil.test"}},
			"another audience":    {claims: map[string]any{"aud": "x"}},
			"no jti":              {claims: map[string]any{"jti": nil}},
			"nobody":              {claims: map[string]any{"sid": nil, "sub": nil}},
			"space":               {claims: map[string]any{"sid": " ", "sub": nil}},
			"no iat":              {claims: map[string]any{"iat": nil}},
			"old":                 {claims: map[string]any{"iat": time.Now().Add(-time.Hour).Unix()}},
			"from tomorrow":       {claims: map[string]any{"iat": time.Now().Add(24 * time.Hour).Unix()}},
			"no expiry":           {claims: map[string]any{"exp": nil}},
			"expired":             {claims: map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}},
			"an ID token, really": {claims: map[string]any{"events": nil, "nonce": "x", "jti": nil}, sign: func(s *signing) { s.header = map[string]any{"typ": "JWT"} }},
		} {
			if p.signing = signed; tt.sign != nil {
				tt.sign(&p.signing)
			}
			want(t, name, b.do("POST", "/.sluice/backchannel-logout", nil, logoutToken(t, p, tt.claims)), 400, "logout_token")
		}
		p.signing = signed
		for name, form := range map[string]string{"no token": "x=1", "two": logoutToken(t, p, nil) + "&" + logoutToken(t, p, nil), "no form": "%zz", "nothing": ""} {
			want(t, name, b.do("POST", "/.sluice/backchannel-logout", nil, form), 400, "logout_token")
		}
		want(t, "GET", b.get("/.sluice/backchannel-logout?"+logoutToken(t, p, nil)), 405, "logout_token")
		if b.identity() == nil {
			t.Error("one of them logged out")
		}
	})
}

func TestWindow(t *testing.T) {
	var w window
	at := time.Unix(1e9, 0)
	for i := range 3 * maxSeen {
		w.add(strings.Repeat("x", i%7)+time.Duration(i).String(), at.Add(time.Duration(i)*time.Microsecond))
		if len(w.used) > maxSeen {
			t.Fatalf("%d tokens are remembered", len(w.used))
		}
	}
	w.add("one", at)
	if !w.has("one", at.Add(maxAge)) || w.has("one", at.Add(maxAge+3*leeway)) || w.has("two", at) {
		t.Error("not what was used")
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	s := NewSecret(file)
	if _, err := s.Load(); err == nil {
		t.Error("a file that is not there is taken")
	}
	if _, ok := s.known(); ok {
		t.Error("a secret is known that nobody told")
	}
	for _, tt := range []struct {
		text    string
		changed bool
		good    bool
	}{{"one\n", true, true}, {" one ", false, true}, {"", false, false}, {"a\nb", false, false}, {strings.Repeat("x", maxSecret+1), false, false}, {"two", true, true}} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		changed, err := s.Load()
		if changed != tt.changed || (err == nil) != tt.good || (CheckSecret(file) == nil) != tt.good {
			t.Errorf("%.10q: %v %v", tt.text, changed, err)
		}
		if v, ok := s.known(); !ok || v != "one" && v != "two" {
			t.Errorf("%.10q: %q", tt.text, v)
		}
	}
	if v, ok := (*Secret)(nil).known(); !ok || v != "" {
		t.Error("a public client has a secret")
	}
}

func TestSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newIDP(t), func(c *Config) { c.Name = "corp" })
		for path, want := range map[string]bool{"/.sluice/callback/corp": true, "/.sluice/callback": false, "/.sluice/logout/corp": true, "/.sluice/login/corp": true,
			"/.sluice/backchannel-logout/corp": true, "/.sluice/signed-out": true, "/.sluice/": false, "/.sluice/login/other": false, "/": false} {
			if r.site.Owns([]byte(path)) != want {
				t.Errorf("%s: %v", path, !want)
			}
		}
		path := []byte("/.sluice/callback/corp")
		if n := testing.AllocsPerRun(100, func() { r.site.Owns(path) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
		b := newBrowser(t, r)
		want(t, "nowhere", r.site.Serve(b.request("GET", "/.sluice/x", nil), nil), 404, "login_lost")
		if seen := map[string]bool{}; len(Reasons()) != 17 || seen[""] {
			t.Errorf("%d reasons", len(Reasons()))
		}
		if len(Results()) != len(r.counts.n) {
			t.Errorf("%d results and %d counts", len(Results()), len(r.counts.n))
		}
	})
}

// A real server with a certificate of its own: nobody is believed but whom ca_file names.
func TestAuthorities(t *testing.T) {
	p := newIDP(t)
	srv := httptest.NewTLSServer(p)
	defer srv.Close()
	p.issuer = srv.URL + "/tenant"
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	for name, pool := range map[string]*x509.CertPool{"its own": roots, "none": x509.NewCertPool()} {
		a, err := New(Config{Issuer: p.issuer, ClientID: clientID, Keeper: session.New(session.Config{Ring: session.NewRing("")}), CA: pool})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.provider.fetch(t.Context())
		if known := a.Status().Known; known != (name == "its own") || (err == nil) != known {
			t.Errorf("%s: %v %v", name, known, err)
		}
		a.provider.client.CloseIdleConnections()
	}
}
