package oidc

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/session"
)

func TestLogin(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		a := b.login(p, "/reports?year=2026&q=%2F")
		want(t, "the callback", a, 303, "login_done")
		if to := field(a, "Location"); to != "https://app.test/reports?year=2026&q=%2F" {
			t.Errorf("back to %q", to)
		}
		if b.attemptCookies() != 0 || len(b.cookies) != 1 {
			t.Errorf("cookies left: %v", b.cookies)
		}
		want(t, "the page", b.get("/reports"), 200, "")
		id := b.identity()
		if id == nil || id.User != "u-1" || id.Email != "ann@example.com" || len(id.Groups) != 2 || len(id.Claims) != 0 || id.Session == nil ||
			id.Session.Issuer != theIssuer || id.Session.Subject != "u-1" || id.Session.Upstream != "idp-1" || id.Session.ID == "" {
			t.Errorf("%+v %+v", id, id.Session)
		}
		other := newBrowser(t, r)
		other.host, other.cookies = "other.test", b.cookies
		want(t, "the cookie on another host", other.get("/"), 302, "login")
		if s := r.Status(); s.Logins[Done] != 1 || s.Logins[Started] != 2 || !s.Known || s.Keys != 2 || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhoIsSentWhere(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		script := fields{"sec-fetch-mode": "cors", "accept": "application/json", "referer": "https://app.test/app?tab=1#x"}
		a := b.do("GET", "/api/x", script, "")
		want(t, "a fetch", a, 401, "login_required")
		const where = "https://app.test/.sluice/login?to=%2Fapp%3Ftab%3D1"
		var doc map[string]string
		if err := json.Unmarshal(a.Body, &doc); err != nil || doc["login"] != where || field(a, "X-Sluice-Login") != where || field(a, "WWW-Authenticate") != `Login realm="sluice"` || field(a, "Location") != "" || b.attemptCookies() != 0 {
			t.Errorf("%v %+v", doc, a.Fields)
		}
		want(t, "the login that it names", b.get(where), 302, "login")
		for _, ref := range []string{"https://app.test.evil.test/", "https://app.test//evil.test", "https://evil.test/", "http://app.test/x", "https://app.test/\\evil.test"} {
			if to := field(b.do("GET", "/api", fields{"sec-fetch-mode": "cors", "accept": "*/*", "referer": ref}, ""), "X-Sluice-Login"); to != "https://app.test/.sluice/login?to=%2F" {
				t.Errorf("referer %s leads to %s", ref, to)
			}
		}
		a = b.do("POST", "/form", fields{"sec-fetch-mode": "navigate"}, "x=1")
		if want(t, "a form", a, 401, "login_required"); !strings.Contains(string(a.Body), "<h1>Please sign in") || field(a, "WWW-Authenticate") == "" {
			t.Errorf("%s", a.Body)
		}
		want(t, "an old browser", b.do("GET", "/", fields{"sec-fetch-mode": "navigate"}, ""), 302, "login")
		b.plain = true
		a = b.get("/x")
		if want(t, "without TLS", a, 403, "login_insecure"); !strings.Contains(string(a.Body), "https://app.test/x") || len(field(a, "Set-Cookie")) > 0 {
			t.Errorf("%s", a.Body)
		}
		want(t, "a script without TLS", b.do("GET", "/", script, ""), 403, "login_insecure")
		for _, path := range []string{"/.sluice/callback?state=x&code=y", "/.sluice/login", "/.sluice/logout"} {
			want(t, path+" without TLS", b.get(path), 403, "login_insecure")
		}
	})
}

func TestTabs(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		one, two := b.get("/one"), b.get("/two")
		back := b.get(p.consent(field(two, "Location")))
		if want(t, "the second", back, 303, "login_done"); field(back, "Location") != "https://app.test/two" {
			t.Error(field(back, "Location"))
		}
		back = b.get(p.consent(field(one, "Location")))
		if want(t, "the first", back, 303, "login_done"); field(back, "Location") != "https://app.test/one" || b.attemptCookies() != 0 {
			t.Error(field(back, "Location"), b.cookies)
		}
	})
}

// A thousand tabs leave five attempts, and of long addresses fewer: the fields of a request stay short.
func TestCookieBombs(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		for _, path := range []string{"/x", "/" + strings.Repeat("a", maxBack-1)} {
			b := newBrowser(t, r)
			var first, last authz.Answer
			for i := range 100 {
				last = b.get(path)
				if time.Sleep(time.Second); i == 0 {
					first = last
				}
				size := 0
				for name, value := range b.cookies {
					size += len(name) + 1 + len(value) + 2
				}
				if n := b.attemptCookies(); n > 5 || size > maxAttemptSize+64 {
					t.Fatalf("%d attempts of %d bytes after %d", n, size, i+1)
				}
			}
			if n := b.attemptCookies(); n < 3 {
				t.Errorf("%d attempts", n)
			}
			want(t, "the first of them", b.get(p.consent(field(first, "Location"))), 400, "login_lost")
			want(t, "the last", b.get(p.consent(field(last, "Location"))), 303, "login_done")
		}
		b := newBrowser(t, r)
		for i := range 40 {
			b.cookies[attemptPrefix+"evil"+string(rune('A'+i%26))+"bcd"] = strings.Repeat("x", 20)
		}
		b.cookies[attemptPrefix+"bad name"] = "x"
		b.get("/")
		if n := b.attemptCookies(); n != 2 { // the new one, and one that is no name of ours
			t.Errorf("%d cookies of attempts that nobody sealed are left: %v", n, b.cookies)
		}
	})
}

func TestCallbackElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		a := b.get("/page")
		r.stop()
		b.at = start(t, p, nil) // another replica, or this one after a restart
		want(t, "on another replica", b.get(p.consent(field(a, "Location"))), 303, "login_done")
		want(t, "the page there", b.get("/page"), 200, "")
		b.at = r
		want(t, "the page on the first", b.get("/page"), 200, "")
	})
}

func TestCallbacksThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(b *browser, u *url.URL, q url.Values)
		status int
		reason string
	}{
		"another state":        {func(_ *browser, _ *url.URL, q url.Values) { q.Set("state", strings.Repeat("A", 22)) }, 400, "login_lost"},
		"the end of the state": {func(_ *browser, _ *url.URL, q url.Values) { q.Set("state", q.Get("state")[:21]+"!") }, 400, "login_lost"},
		"half a state":         {func(_ *browser, _ *url.URL, q url.Values) { q.Set("state", q.Get("state")[:8]) }, 400, "login_lost"},
		"no state":             {func(_ *browser, _ *url.URL, q url.Values) { q.Del("state") }, 400, "login_lost"},
		"two states":           {func(_ *browser, _ *url.URL, q url.Values) { q.Add("state", "x") }, 400, "login_lost"},
		"another browser":      {func(b *browser, _ *url.URL, _ url.Values) { clear(b.cookies) }, 400, "login_lost"},
		"another host":         {func(b *browser, _ *url.URL, _ url.Values) { b.host = "other.test" }, 400, "login_lost"},
		"another issuer":       {func(_ *browser, _ *url.URL, q url.Values) { q.Set("iss", "https://evil.test") }, 403, "login_untrusted"},
		"two issuers":          {func(_ *browser, _ *url.URL, q url.Values) { q.Add("iss", "https://evil.test") }, 403, "login_untrusted"},
		"no code":              {func(_ *browser, _ *url.URL, q url.Values) { q.Del("code") }, 403, "login_refused"},
		"another code":         {func(_ *browser, _ *url.URL, q url.Values) { q.Set("code", "other") }, 403, "login_refused"},
		"an error": {func(_ *browser, _ *url.URL, q url.Values) {
			q.Set("error", "access_denied")
			q.Set("error_description", "<script>alert(1)</script>")
		}, 403, "login_refused"},
		"an error and no state": {func(_ *browser, _ *url.URL, q url.Values) { q.Set("error", "access_denied"); q.Del("state") }, 400, "login_lost"},
		"not to be read":        {func(_ *browser, u *url.URL, _ url.Values) { u.RawQuery += "&%zz" }, 400, "login_lost"},
		"too late":              {func(*browser, *url.URL, url.Values) { time.Sleep(attemptFor) }, 400, "login_expired"},
		"tampered with": {func(b *browser, _ *url.URL, _ url.Values) {
			for name, v := range b.cookies {
				b.cookies[name] = v[:len(v)-2] + "AA"
			}
		}, 400, "login_lost"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, p *idp, r *replica) {
				b := newBrowser(t, r)
				u, err := url.Parse(p.consent(field(b.get("/page"), "Location")))
				if err != nil {
					t.Fatal(err)
				}
				q := u.Query()
				tt.change(b, u, q)
				if name != "not to be read" {
					u.RawQuery = q.Encode()
				}
				target := u.RequestURI()
				_, held := b.cookies[cookieNameOf(q)]
				a := b.get(target)
				want(t, name, a, tt.status, tt.reason)
				if id := b.identity(); id != nil {
					t.Errorf("signed in as %+v", id)
				}
				if _, still := b.cookies[cookieNameOf(q)]; held && still && name != "not to be read" {
					t.Error("the attempt is left")
				}
				if field(a, "Location") != "" || strings.Contains(string(a.Body), "<script") || !strings.Contains(string(a.Body), "Sign in anew") || field(a, "Cache-Control") != "no-store" {
					t.Errorf("%+v\n%s", a.Fields, a.Body)
				}
			})
		})
	}
}

func cookieNameOf(q url.Values) string {
	if s := one(q, "state"); len(s) >= 8 {
		return cookieName(s)
	}
	return ""
}

// Who makes somebody finish his login (login CSRF) gets nowhere, and a finished one cannot be had again.
func TestLoginsOfOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		evil, b := newBrowser(t, r), newBrowser(t, r)
		b.login(p, "/")
		before := b.identity()
		link := p.consent(field(evil.get("/"), "Location"))
		a := b.get(link)
		if want(t, "a link to somebody's login", a, 400, "login_lost"); !strings.Contains(string(a.Body), "signed in already") || b.identity().Session.ID != before.Session.ID {
			t.Errorf("%s", a.Body)
		}
		kept := map[string]string{}
		for name, v := range evil.cookies {
			kept[name] = v
		}
		// What another host of the domain can plant: to a browser such a name has no prefix.
		for _, space := range []string{"\u00a0", "\u2003", "\u0085"} {
			for name, v := range kept {
				b.cookies[space+name] = v
			}
			want(t, "a link to somebody's login, and his attempt", b.get(link), 400, "login_lost")
		}
		want(t, "his own", evil.get(link), 303, "login_done")
		evil.cookies = kept
		want(t, "the same once more, with the attempt that it had", evil.get(link), 403, "login_refused")
		want(t, "other methods", b.do("POST", link, nil, ""), 405, "login_method")
	})
}

func TestProviderThatFails(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		b.login(p, "/")
		before := b.cookies[session.CookieName("oidc")]
		for name, tt := range map[string]struct {
			change func(*idp)
			status int
			reason string
		}{
			"503":         {func(p *idp) { p.status = 503 }, 502, "login_failed"},
			"429":         {func(p *idp) { p.status = 429 }, 502, "login_failed"},
			"dead":        {func(p *idp) { p.down = true }, 502, "login_failed"},
			"silent":      {func(p *idp) { p.slow = time.Hour }, 502, "login_failed"},
			"no ID token": {func(p *idp) { p.signing.alg, p.claims = "none", nil }, 403, "login_untrusted"},
		} {
			back := p.consent(field(b.get("/.sluice/login?to=/x"), "Location"))
			was := p.signing
			p.set(tt.change)
			began := time.Now()
			a := b.get(back)
			want(t, name, a, tt.status, tt.reason)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
			if b.cookies[session.CookieName("oidc")] != before || b.identity() == nil || b.attemptCookies() != 0 {
				t.Errorf("%s: the session was touched: %v", name, b.cookies)
			}
			if !strings.Contains(string(a.Body), "login?to=%2Fx") {
				t.Errorf("%s: no way to try again: %s", name, a.Body)
			}
			p.set(func(p *idp) { p.status, p.down, p.slow, p.signing, p.claims = 0, false, 0, was, map[string]any{} })
		}
		want(t, "afterwards", b.login(p, "/.sluice/login?to=/x"), 303, "login_done")
	})
}

func TestProviderThatIsNotThere(t *testing.T) {
	chain()
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t)
		p.down = true
		dir := t.TempDir()
		keep := func(c *Config) { c.StateDir = dir }
		r := start(t, p, keep)
		b := newBrowser(t, r)
		a := b.get("/")
		if want(t, "a person", a, 503, "login_unavailable"); field(a, "Retry-After") == "" || !strings.Contains(string(a.Body), "login?to=%2F") {
			t.Errorf("%+v %s", a.Fields, a.Body)
		}
		if s := r.Status(); s.Known || s.Err == nil || s.Failures == 0 {
			t.Errorf("%+v", s)
		}
		p.set(func(p *idp) { p.down = false })
		time.Sleep(time.Minute)
		want(t, "when it is there", b.login(p, "/"), 303, "login_done")
		r.stop()

		p.set(func(p *idp) { p.down = true })
		b.at = start(t, p, keep)
		want(t, "who is signed in, after a restart without it", b.get("/"), 200, "")
		other := newBrowser(t, b.at)
		a = other.get("/")
		want(t, "who is not: what was kept is known", a, 302, "login")
		p.set(func(p *idp) { p.down = false })
		want(t, "and signs in once it is there", other.get(p.consent(field(a, "Location"))), 303, "login_done")

		_, err := New(Config{Issuer: "https://other.test", ClientID: "x", Keeper: b.at.cfg.Keeper, StateDir: dir, Transport: p})
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := newIDP(t)
		elsewhere.issuer, elsewhere.down = "https://other.test", true
		if s := start(t, elsewhere, keep).Status(); s.Known {
			t.Error("what was kept of another issuer is taken")
		}
	})
}

func TestDescriptions(t *testing.T) {
	for name, alter := range map[string]func(map[string]any){
		"another issuer":  func(d map[string]any) { d["issuer"] = "https://evil.test" },
		"a slash more":    func(d map[string]any) { d["issuer"] = theIssuer + "/" },
		"no issuer":       func(d map[string]any) { delete(d, "issuer") },
		"no endpoint":     func(d map[string]any) { delete(d, "token_endpoint") },
		"token by http":   func(d map[string]any) { d["token_endpoint"] = "http://idp.test/token" },
		"keys by http":    func(d map[string]any) { d["jwks_uri"] = "http://idp.test/keys" },
		"a script":        func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"logout, a file":  func(d map[string]any) { d["end_session_endpoint"] = "file:///x" },
		"too large":       func(d map[string]any) { d["x"] = strings.Repeat("x", maxMetadata) },
		"an endpoint, 17": func(d map[string]any) { d["authorization_endpoint"] = 17 },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newIDP(t)
			p.alters = alter
			if s := start(t, p, nil).Status(); s.Known || s.Err == nil || s.Failures == 0 {
				t.Errorf("%s: taken: %+v", name, s)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = strings.Repeat("g", 20) + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	for name, tt := range map[string]struct {
		claims map[string]any
		status int
		reason string
		says   string
		check  func(*authz.Identity) bool
	}{
		"not verified":       {claims: map[string]any{"email_verified": false}, status: 303, reason: "login_done", check: func(id *authz.Identity) bool { return id.Email == "" }},
		"chosen":             {claims: map[string]any{"amr": []string{"pwd", "mfa"}, "realm": map[string]any{"x": 1}, "name": "Ann"}, status: 303, reason: "login_done", check: func(id *authz.Identity) bool { return len(id.Claims["amr"]) == 2 && len(id.Claims) == 1 }},
		"no groups":          {claims: map[string]any{"groups": nil}, status: 303, reason: "login_done", check: func(id *authz.Identity) bool { return len(id.Groups) == 0 }},
		"too many groups":    {claims: map[string]any{"groups": many}, status: 403, reason: "login_too_large", says: "the groups (300)"},
		"groups elsewhere":   {claims: map[string]any{"groups": nil, "_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://x"}}}, status: 403, reason: "login_unsuitable", says: "groups"},
		"a group of 17":      {claims: map[string]any{"groups": []any{17}}, status: 403, reason: "login_unsuitable"},
		"no subject":         {claims: map[string]any{"sub": nil}, status: 403, reason: "login_untrusted"},
		"a user that is odd": {claims: map[string]any{"sub": " u"}, status: 403, reason: "login_unsuitable"},
		"an email that adds": {claims: map[string]any{"email": "a@b\r\nX-Admin: 1"}, status: 303, reason: "login_done", check: func(id *authz.Identity) bool { return id.Email == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			chain()
			synctest.Test(t, func(t *testing.T) {
				p := newIDP(t)
				p.claims = tt.claims
				r := start(t, p, func(c *Config) { c.Names = issuer.Names{Keep: []string{"amr"}} })
				b := newBrowser(t, r)
				a := b.login(p, "/")
				want(t, name, a, tt.status, tt.reason)
				if !strings.Contains(string(a.Body), tt.says) {
					t.Errorf("the page does not say %q:\n%s", tt.says, a.Body)
				}
				id := b.identity()
				if (id != nil) != (tt.status == 303) || tt.check != nil && !tt.check(id) {
					t.Errorf("%+v", id)
				}
			})
		})
	}
}

// A provider that says that it names itself in callbacks has to (RFC 9207).
func TestProviderThatNamesItself(t *testing.T) {
	chain()
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t)
		p.alters = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = true }
		b := newBrowser(t, start(t, p, nil))
		back := p.consent(field(b.get("/"), "Location"))
		want(t, "without its name", b.get(back[:strings.Index(back, "iss=")]+"x"+back[strings.Index(back, "iss="):]), 403, "login_untrusted")
		want(t, "with it", b.login(p, "/"), 303, "login_done")
	})
}

// Whatever a link says, a login leads back to this host.
func TestLinksToLogins(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		for to, want := range map[string]string{"/x?y=1": "/x?y=1", "//evil.test": "/", "https://evil.test": "/", `/\evil.test`: "/", "": "/", "/.sluice/login": "/", "/a\n": "/"} {
			b := newBrowser(t, r)
			a := b.login(p, "/.sluice/login?to="+url.QueryEscape(to))
			if got := field(a, "Location"); got != "https://app.test"+want {
				t.Errorf("%q leads to %q", to, got)
			}
		}
		b := newBrowser(t, r)
		if a := b.login(p, "/.sluice/login?to=/x&to=//evil.test"); field(a, "Location") != "https://app.test/x" {
			t.Errorf("two lead to %s", field(a, "Location"))
		}
		if _, err := decodeAttempt(newAttempt("oidc", "//evil.test", time.Now()).encode()); err == nil {
			t.Error("an attempt that leads elsewhere is read")
		}
	})
}

// Two providers on one host keep apart what is theirs.
func TestSeveralProviders(t *testing.T) {
	chain()
	synctest.Test(t, func(t *testing.T) {
		p, q := newIDP(t), newIDP(t)
		q.issuer = "https://corp.test/tenant"
		r := start(t, p, nil)
		corp := start(t, q, func(c *Config) { c.Name, c.Keeper = "corp", r.cfg.Keeper })
		site := NewSite(r.Authenticator, corp.Authenticator)
		r.site, corp.site = site, site
		b := newBrowser(t, corp)
		a := b.get("/")
		if want(t, "corp", a, 302, "login"); !strings.Contains(field(a, "Location"), url.QueryEscape("https://app.test/.sluice/callback/corp")) {
			t.Fatal(field(a, "Location"))
		}
		back := q.consent(field(a, "Location"))
		swapped := strings.Replace(back, "/callback/corp", "/callback", 1)
		want(t, "the callback of another provider (mix-up)", newClone(b).get(swapped), 400, "login_lost")
		want(t, "its own", b.get(back), 303, "login_done")
		if id := b.identity(); id == nil || id.Session.Issuer != q.issuer {
			t.Errorf("%+v", id)
		}
		b.at = r
		want(t, "a route of the other", b.login(p, "/"), 303, "login_done")
		if len(b.cookies) != 2 {
			t.Errorf("%v", b.cookies)
		}
	})
}

func newClone(b *browser) *browser {
	c := *b
	c.cookies = map[string]string{}
	for k, v := range b.cookies {
		c.cookies[k] = v
	}
	return &c
}

// Anybody can begin logins and end them with a code that is none: while the provider is slow they wait for it, and must
// not fill every place that the proxy has for requests that wait.
func TestCallbacksThatWaitAreFew(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		evil, b := newBrowser(t, r), newBrowser(t, r)
		link := p.consent(field(evil.get("/"), "Location"))
		mine := p.consent(field(b.get("/"), "Location"))
		req := evil.request("GET", strings.Replace(link, "code=", "code=x", 1), nil)
		p.set(func(p *idp) { p.slow = time.Minute })
		answers := make(chan authz.Answer, 64)
		for range 64 {
			go func() { answers <- r.site.Serve(req, nil) }()
		}
		synctest.Wait()
		if n := p.fetches("/tenant/token"); n != maxBusy || len(answers) != 64-maxBusy {
			t.Errorf("%d wait, %d were answered, want %d and the others", n, len(answers), maxBusy)
		}
		a := b.get(mine)
		if want(t, "one more", a, 503, "login_unavailable"); field(a, "Retry-After") == "" || field(a, "Set-Cookie") != "" {
			t.Errorf("%v", a.Fields)
		}
		want(t, "another page", b.get("/.sluice/login"), 302, "login")
		want(t, "a logout", b.get("/.sluice/logout"), 200, "logout")
		for range 64 {
			<-answers
		}
		p.set(func(p *idp) { p.slow = 0 })
		want(t, "the same again", b.get(mine), 303, "login_done")
	})
}
