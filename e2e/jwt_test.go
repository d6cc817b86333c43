package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// issuer signs tokens, and publishes its keys unless it is silent.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    map[string]*rsa.PrivateKey // by kid
	silent  atomic.Bool
	fetches atomic.Int32
}

func newIssuer(t *testing.T, kids ...string) *issuer {
	t.Helper()
	is := &issuer{keys: map[string]*rsa.PrivateKey{}}
	for _, kid := range kids {
		is.add(t, kid)
	}
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		is.fetches.Add(1)
		if is.silent.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		_, _ = w.Write(is.document())
	}))
	t.Cleanup(is.Close)
	return is
}

func (is *issuer) add(t *testing.T, kid string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys[kid] = k
}

func (is *issuer) document() []byte {
	is.mu.Lock()
	defer is.mu.Unlock()
	var list []map[string]string
	for kid, k := range is.keys {
		list = append(list, map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": "AQAB"})
	}
	out, _ := json.Marshal(map[string]any{"keys": list}) // strings only
	return out
}

func (is *issuer) sign(t *testing.T, kid string, claims map[string]any) string {
	t.Helper()
	is.mu.Lock()
	key := is.keys[kid]
	is.mu.Unlock()
	all := map[string]any{"iss": "https://idp.test", "aud": "sluice", "exp": time.Now().Add(time.Minute).Unix(), "sub": "u-1"}
	for k, v := range claims {
		all[k] = v
	}
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": "RS256", "kid": kid}) + "." + part(all)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func tokenPolicy(addr string) string {
	return fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: free, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: staff, path: {prefix: /staff}, cluster: app, authenticate: [jwt, api_key], policy: [{allow: {and: [{groups: staff}]}}]}
`, addr)
}

func bearing(path, token string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

// TestTokens: who it is, by the token of an issuer, from the wire.
func TestTokens(t *testing.T) {
	t.Parallel()
	up, is, other := newUpstream(t), newIssuer(t, "k1"), newIssuer(t, "k1")
	file := filepath.Join(t.TempDir(), "keys.json")
	write(t, file, string(is.document()))
	s := serve(t, up, setup{policy: tokenPolicy(up.web), known: fmt.Sprintf(", jwt: [{issuer: https://idp.test, audience: [sluice], jwks_file: %q}]", file)})
	staff := map[string]any{"groups": []string{"staff"}, "email": "a@b.test"}
	good := is.sign(t, "k1", staff)
	for _, c := range []struct {
		name, request string
		status        int
		reason        string
	}{
		{"good", bearing("/staff/a", good), 200, ""},
		{"again, remembered", bearing("/staff/b", good), 200, ""},
		{"an API key on the same route", bearing("/staff/c", goodKey), 403, "groups-unauthorized"},
		{"of another group", bearing("/staff/d", is.sign(t, "k1", nil)), 403, "groups-unauthorized"},
		{"by another's key", bearing("/staff/e", other.sign(t, "k1", staff)), 401, "credential_invalid"},
		{"expired", bearing("/staff/f", is.sign(t, "k1", map[string]any{"groups": "staff", "exp": 1})), 401, "credential_invalid"},
		{"for somebody else", bearing("/staff/g", is.sign(t, "k1", map[string]any{"groups": "staff", "aud": "x"})), 401, "credential_invalid"},
		{"none", "GET /staff/h HTTP/1.1\r\nHost: a.test\r\n\r\n", 401, "user-unauthenticated"},
		{"rubbish", bearing("/staff/i", "eyJhbGciOiJub25lIn0.e30."), 401, "credential_invalid"},
	} {
		r := <-begin(t, s.web, c.request)
		if r.err != nil || r.answer.status != c.status || c.reason != "" && r.answer.head.Get("X-Sluice-Reason") != c.reason {
			t.Errorf("%s: %d %v %v, want %d %s", c.name, r.answer.status, r.answer.head, r.err, c.status, c.reason)
		}
		if c.status == 401 && !strings.HasPrefix(r.answer.head.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: no challenge: %v", c.name, r.answer.head)
		}
	}
	got := up.log("/staff/a")
	if len(got) != 1 || got[0].head.Get("X-Sluice-User") != "u-1" || got[0].head.Get("X-Sluice-Email") != "a@b.test" || got[0].head.Get("X-Sluice-Groups") != "staff" || got[0].head.Get("Authorization") != "" {
		t.Errorf("the upstream got %+v", got)
	}
	// Another key comes into force by a reload; tokens of the one before are worth nothing at once.
	next := newIssuer(t, "k2")
	write(t, file, string(next.document()))
	if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code != 0 {
		t.Fatalf("reload: %d %s", code, out)
	}
	if r := <-begin(t, s.web, bearing("/staff/j", good)); r.err != nil || r.answer.status != 401 {
		t.Errorf("a token of a key that is gone: %d %v", r.answer.status, r.err)
	}
	if r := <-begin(t, s.web, bearing("/staff/k", next.sign(t, "k2", staff))); r.err != nil || r.answer.status != 200 {
		t.Errorf("a token of the new key: %d %v", r.answer.status, r.err)
	}
}

// TestIssuerThatIsAway keeps nobody from starting, and ends nothing; a flood of tokens with keys that nobody
// has is not passed on to it.
func TestIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	up, is := newUpstream(t), newIssuer(t, "k1")
	is.silent.Store(true)
	s := serve(t, up, setup{policy: tokenPolicy(up.web), known: fmt.Sprintf(", jwt: [{issuer: https://idp.test, audience: [sluice], jwks_url: %q}]", is.URL)})
	if r := <-begin(t, s.web, get("/free")); r.err != nil || r.answer.status != 200 {
		t.Errorf("a route that needs no token: %d %v", r.answer.status, r.err)
	}
	staff := map[string]any{"groups": "staff"}
	good := is.sign(t, "k1", staff)
	if r := <-begin(t, s.web, bearing("/staff", good)); r.err != nil || r.answer.status != 503 || r.answer.head.Get("Retry-After") == "" {
		t.Errorf("no keys are known: %d %v %v", r.answer.status, r.answer.head, r.err)
	}
	is.silent.Store(false)
	eventually(t, "the issuer is back", func() bool {
		r := <-begin(t, s.web, bearing("/staff", good))
		return r.err == nil && r.answer.status == 200
	})
	is.silent.Store(true)
	before := is.fetches.Load()
	nobodys := newIssuer(t, "k9")
	for i := range 200 {
		if r := <-begin(t, s.web, bearing("/staff", nobodys.sign(t, "k9", map[string]any{"groups": "staff", "n": i}))); r.err != nil || r.answer.status != 401 && r.answer.status != 503 {
			t.Fatalf("a key that nobody has: %d %v", r.answer.status, r.err)
		}
	}
	if n := is.fetches.Load() - before; n > 2 {
		t.Errorf("%d fetches for 200 tokens", n)
	}
	if r := <-begin(t, s.web, bearing("/staff", is.sign(t, "k1", map[string]any{"groups": "staff", "n": "new"}))); r.err != nil || r.answer.status != 200 {
		t.Errorf("a good token while the issuer is away: %d %v", r.answer.status, r.err)
	}
}
