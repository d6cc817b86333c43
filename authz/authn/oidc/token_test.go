package oidc

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// der is a public key as text, which some take for the secret of a MAC.
func der(t testing.TB, key any) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b})
}

func TestIDTokens(t *testing.T) {
	k := chain()
	own := jose.JSONWebKey{KeyID: "mine", Key: k.other.Public()}
	for name, tt := range map[string]struct {
		sign   func(*signing)
		claims map[string]any
		good   bool
	}{
		"as it is":               {good: true},
		"ES256":                  {sign: func(s *signing) { s.alg, s.kid, s.key = jose.ES256, "e1", k.ec }, good: true, claims: map[string]any{"at_hash": nil}},
		"of the type JWT":        {sign: func(s *signing) { s.header = map[string]any{"typ": "JWT"} }, good: true},
		"azp, ours":              {claims: map[string]any{"azp": clientID, "aud": []string{"x", clientID}}, good: true},
		"none":                   {sign: func(s *signing) { s.alg = "none" }},
		"HS256 under the key":    {sign: func(s *signing) { s.alg, s.key = jose.HS256, der(t, k.rsa.Public()) }},
		"HS256 under the secret": {sign: func(s *signing) { s.alg, s.key = jose.HS256, []byte(strings.Repeat(secret, 6)) }},
		"PS256, not in the list": {sign: func(s *signing) { s.alg = jose.PS256 }},
		"another's key":          {sign: func(s *signing) { s.key = k.other }},
		"another's key, no kid":  {sign: func(s *signing) { s.key, s.kid = k.other, "" }},
		"kid of the other kind":  {sign: func(s *signing) { s.kid = "e1" }},
		"kid, a path":            {sign: func(s *signing) { s.kid = "../../../../dev/null" }},
		"kid, a query":           {sign: func(s *signing) { s.kid = "r1' OR '1'='1" }},
		"a key that it brings":   {sign: func(s *signing) { s.key, s.kid, s.header = k.other, "mine", map[string]any{"jwk": own} }},
		"a key that it points at": {sign: func(s *signing) {
			s.key, s.kid, s.header = k.other, "mine", map[string]any{"jku": "https://evil.test/keys", "x5u": "https://evil.test/x"}
		}},
		"critical":                 {sign: func(s *signing) { s.header = map[string]any{"crit": []string{"x"}, "x": 1} }},
		"an access token":          {sign: func(s *signing) { s.header = map[string]any{"typ": "at+jwt"} }},
		"a logout token":           {sign: func(s *signing) { s.header = map[string]any{"typ": "logout+jwt"} }},
		"another audience":         {claims: map[string]any{"aud": "somebody"}},
		"no audience":              {claims: map[string]any{"aud": nil}},
		"several, and no azp":      {claims: map[string]any{"aud": []string{"x", clientID}}},
		"azp, another's":           {claims: map[string]any{"azp": "x"}},
		"another issuer":           {claims: map[string]any{"iss": "https://evil.test"}},
		"another nonce":            {claims: map[string]any{"nonce": "x"}},
		"no nonce":                 {claims: map[string]any{"nonce": nil}},
		"expired":                  {claims: map[string]any{"exp": time.Date(1999, 12, 31, 23, 58, 0, 0, time.UTC).Unix()}},
		"no expiry":                {claims: map[string]any{"exp": nil}},
		"from yesterday":           {claims: map[string]any{"iat": time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC).Unix()}},
		"from tomorrow":            {claims: map[string]any{"iat": time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC).Unix()}},
		"no iat":                   {claims: map[string]any{"iat": nil}},
		"another access token":     {claims: map[string]any{"at_hash": base64.RawURLEncoding.EncodeToString(make([]byte, 16))}},
		"larger than we look at":   {claims: map[string]any{"x": strings.Repeat("x", maxToken)}},
		"no subject, but an email": {claims: map[string]any{"sub": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, p *idp, r *replica) { // its clock begins with the year 2000
				if tt.sign != nil {
					tt.sign(&p.signing)
				}
				if tt.claims != nil {
					p.claims = tt.claims
				}
				b := newBrowser(t, r)
				a := b.login(p, "/")
				if tt.good {
					want(t, name, a, 303, "login_done")
				} else {
					want(t, name, a, 403, "login_untrusted")
				}
				if (b.identity() != nil) != tt.good {
					t.Errorf("signed in: %v", !tt.good)
				}
				if p.fetches("/evil.test") > 0 || p.fetches("/keys") > 0 {
					t.Error("it asked where a token pointed")
				}
			})
		})
	}
}

// Keys that were rotated are fetched when a token names one, and that is not more often than once in 30 s, whatever comes.
func TestRotation(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		k := chain()
		const keys = "/tenant/keys"
		time.Sleep(31 * time.Second)
		before := p.fetches(keys)
		p.set(func(p *idp) {
			p.signing = signing{alg: jose.RS256, kid: "r2", key: k.other}
			p.public = []jose.JSONWebKey{{KeyID: "r2", Key: k.other.Public(), Use: "sig"}}
		})
		want(t, "with the new key", newBrowser(t, r).login(p, "/"), 303, "login_done")
		if n := p.fetches(keys) - before; n != 1 {
			t.Errorf("%d fetches", n)
		}
		p.set(func(p *idp) { p.signing.kid, p.signing.key = "r1", k.rsa })
		want(t, "with the old one", newBrowser(t, r).login(p, "/"), 403, "login_untrusted")
		p.set(func(p *idp) { p.signing.kid = "r3" })
		for i := range 50 { // a flood of keys that nobody has
			p.set(func(p *idp) { p.signing.kid = "no-" + strings.Repeat("x", i) })
			if a := newBrowser(t, r).login(p, "/"); a.Status != 403 {
				t.Fatalf("%d %s", a.Status, a.Reason)
			}
		}
		if n := p.fetches(keys) - before; n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// A provider that rotates its keys just after they were fetched by themselves, and signs with the new one at once: nobody used up the
// fetch that its tokens are worth.
func TestRotationAfterAFetch(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		k := chain()
		before := p.fetches("/tenant/keys")
		p.set(func(p *idp) {
			p.signing = signing{alg: jose.RS256, kid: "r2", key: k.other}
			p.public = []jose.JSONWebKey{{KeyID: "r2", Key: k.other.Public(), Use: "sig"}}
		})
		want(t, "with the new key", newBrowser(t, r).login(p, "/"), 303, "login_done")
		p.set(func(p *idp) { p.signing.kid = "r3" })
		want(t, "with one that nobody has", newBrowser(t, r).login(p, "/"), 403, "login_untrusted")
		if n := p.fetches("/tenant/keys") - before; n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// A provider whose keys are away: the answer is 503, since the token may be a good one.
func TestKeysAway(t *testing.T) {
	inWorld(t, func(t *testing.T, p *idp, r *replica) {
		b := newBrowser(t, r)
		time.Sleep(31 * time.Second)
		p.set(func(p *idp) {
			p.signing.kid = "r9"
			p.alters = func(d map[string]any) { d["issuer"] = "https://broken.test" }
		})
		want(t, "an unknown key", b.login(p, "/"), 503, "login_unavailable")
		p.set(func(p *idp) { p.signing.kid = "r1" })
		want(t, "a known one", b.login(p, "/"), 303, "login_done")
		if s := r.Status(); s.Failures != 1 || s.Err == nil || s.Keys != 2 || !s.Known {
			t.Errorf("%+v", s)
		}
	})
}

func TestPublicClient(t *testing.T) {
	for style, tt := range map[string]struct {
		methods []string
		secret  bool
		want    int
	}{
		"public": {nil, false, 1}, "default": {nil, true, 2}, "post": {[]string{"client_secret_post"}, true, 1}, "both": {[]string{"client_secret_post", "client_secret_basic"}, true, 2},
	} {
		if got := (&metadata{TokenAuth: tt.methods}).authStyle(tt.secret); int(got) != tt.want {
			t.Errorf("%s: %d", style, got)
		}
	}
}

func TestConfigs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t)
		good := start(t, p, nil).cfg
		for name, change := range map[string]func(*Config){
			"http":       func(c *Config) { c.Issuer = "http://idp.test" },
			"no issuer":  func(c *Config) { c.Issuer = "" },
			"no client":  func(c *Config) { c.ClientID = "" },
			"no keeper":  func(c *Config) { c.Keeper = nil },
			"HS256":      func(c *Config) { c.Algorithms = []string{"RS256", "HS256"} },
			"none":       func(c *Config) { c.Algorithms = []string{"none"} },
			"a name":     func(c *Config) { c.Name = "Corp" },
			"a path":     func(c *Config) { c.Name = "a/b" },
			"a long one": func(c *Config) { c.Name = strings.Repeat("a", 33) },
		} {
			c := good
			if change(&c); c.Name == good.Name && c.Issuer == good.Issuer && c.ClientID == good.ClientID && c.Keeper == good.Keeper && len(c.Algorithms) == len(good.Algorithms) {
				t.Errorf("%s changes nothing", name)
			}
			if _, err := New(c); err == nil {
				t.Errorf("%s is taken", name)
			}
		}
	})
}
