package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keychain is a provider's keys, made once for all tests.
type keychain struct {
	rsa, other *rsa.PrivateKey
	ec         *ecdsa.PrivateKey
}

var chain = sync.OnceValue(func() *keychain {
	k := &keychain{}
	for _, p := range []**rsa.PrivateKey{&k.rsa, &k.other} {
		var err error
		if *p, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	var err error
	if k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic(err)
	}
	return k
})

// signing is how a token is signed.
type signing struct {
	alg    jose.SignatureAlgorithm
	kid    string
	key    any
	header map[string]any
}

// sign makes a token, also one that no library would: with alg none, or a MAC under a public key.
func (s signing) sign(t testing.TB, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if s.alg == "none" {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc(payload) + "."
	}
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": s.kid}}
	for name, v := range s.header {
		opts.ExtraHeaders[jose.HeaderKey(name)] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// idp is a provider by script: it answers without a network.
type idp struct {
	t      testing.TB
	issuer string
	alters func(map[string]any) // its description

	mu      sync.Mutex // guards what follows
	down    bool       // it does not answer
	slow    time.Duration
	status  int // of the token endpoint; 0: 200
	signing signing
	public  []jose.JSONWebKey
	claims  map[string]any // of ID tokens, beside what every one has; nil as a value: without
	codes   map[string]url.Values
	fetched map[string]int // by path
}

const (
	theIssuer = "https://idp.test/tenant"
	clientID  = "sluice"
	secret    = "s3cr:t"
)

func newIDP(t testing.TB) *idp {
	k := chain()
	return &idp{t: t, issuer: theIssuer, signing: signing{alg: jose.RS256, kid: "r1", key: k.rsa}, codes: map[string]url.Values{}, fetched: map[string]int{}, claims: map[string]any{},
		public: []jose.JSONWebKey{{KeyID: "r1", Key: k.rsa.Public(), Use: "sig"}, {KeyID: "e1", Key: k.ec.Public(), Use: "sig"}}}
}

func (p *idp) set(change func(*idp)) { p.mu.Lock(); defer p.mu.Unlock(); change(p) }

func (p *idp) fetches(path string) int { p.mu.Lock(); defer p.mu.Unlock(); return p.fetched[path] }

func (p *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.fetched[r.URL.Path]++
	down, slow := p.down, p.slow
	p.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if down {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	path := "/" + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch path {
	case "/openid-configuration":
		doc := map[string]any{"issuer": p.issuer, "authorization_endpoint": p.issuer + "/auth", "token_endpoint": p.issuer + "/token", "jwks_uri": p.issuer + "/keys",
			"end_session_endpoint": p.issuer + "/logout?x=1"}
		if p.alters != nil {
			p.alters(doc)
		}
		_ = json.NewEncoder(w).Encode(doc)
	case "/keys":
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.public})
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func fail(w http.ResponseWriter, status int, doc string) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(doc))
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	if p.status != 0 {
		fail(w, p.status, `{"error":"server_error"}`)
		return
	}
	id, password, _ := r.BasicAuth()
	if id != clientID || password != url.QueryEscape(secret) {
		fail(w, 401, `{"error":"invalid_client"}`)
		return
	}
	asked := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if asked == nil || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("redirect_uri") != r.FormValue("redirect_uri") {
		fail(w, 400, `{"error":"invalid_grant","error_description":"<no such> code"}`)
		return
	}
	now := time.Now()
	hash := sha256.Sum256([]byte("access"))
	claims := map[string]any{"iss": p.issuer, "aud": clientID, "sub": "u-1", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": asked.Get("nonce"),
		"email": "ann@example.com", "groups": []string{"eng", "ops"}, "sid": "idp-1", "at_hash": base64.RawURLEncoding.EncodeToString(hash[:16])}
	maps.Copy(claims, p.claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.signing.sign(p.t, claims)})
}

// consent is what a person does at the provider who signs in there: it returns where that sends him.
func (p *idp) consent(location string) string {
	p.t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if !strings.HasPrefix(location, p.issuer+"/auth?") || q.Get("client_id") != clientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || len(q.Get("code_challenge")) != 43 || q.Get("scope") != "openid profile email" {
		p.t.Fatalf("not what a provider expects: %s", location)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := fmt.Sprintf("code-%d", len(p.codes)+p.fetched["/tenant/token"]*100)
	p.codes[code] = q
	return q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.issuer}}.Encode()
}

// replica is one process of ours.
type replica struct {
	*Authenticator
	site *Site
	stop func()
}

var ringText = session.NewKey()

// start starts a replica; change alters its configuration. It knows the provider when it returns, unless that is down.
func start(t *testing.T, p *idp, change func(*Config)) *replica {
	t.Helper()
	ring, err := session.Static(ringText)
	if err != nil {
		t.Fatal(err)
	}
	s := &Secret{}
	text := secret
	s.value.Store(&text)
	c := Config{Issuer: p.issuer, ClientID: clientID, Secret: s, Keeper: session.New(session.Config{Ring: ring}), Transport: p}
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }() // ends with stop
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	synctest.Wait()
	return &replica{a, NewSite(a), stop}
}

// fields are those of a request.
type fields map[string]string

func (f fields) Field(name string) ([]byte, int) {
	if v, ok := f[name]; ok {
		return []byte(v), 1
	}
	return nil, 0
}

// browser is one on a host, with its cookies.
type browser struct {
	t       *testing.T
	at      *replica // where its requests go
	host    string
	cookies map[string]string
	plain   bool // without TLS
}

func newBrowser(t *testing.T, at *replica) *browser {
	return &browser{t: t, at: at, host: "app.test", cookies: map[string]string{}}
}

func (b *browser) request(method, target string, f fields) *authz.Request {
	path, query, _ := strings.Cut(strings.TrimPrefix(target, "https://"+b.host), "?")
	all := fields{"sec-fetch-mode": "navigate", "accept": "text/html"}
	maps.Copy(all, f)
	var line []string
	for name, value := range b.cookies {
		line = append(line, name+"="+value)
	}
	if len(line) > 0 {
		all["cookie"] = strings.Join(line, "; ")
	}
	return &authz.Request{Method: method, Host: []byte(b.host), Authority: []byte(b.host), Path: []byte(path), Query: []byte(query), Time: time.Now(), Fields: all, Secure: !b.plain}
}

// do sends a request as the proxy would: to the site, or through Try and Greet. Status 200 without a body is the upstream's.
func (b *browser) do(method, target string, f fields, body string) authz.Answer {
	b.t.Helper()
	r := b.request(method, target, f)
	var a authz.Answer
	if b.at.site.Owns(r.Path) {
		a = b.at.site.Serve(r, []byte(body))
	} else if _, v := b.at.Try(r); v == authz.Allow {
		a = authz.Answer{Status: 200}
	} else {
		a = *b.at.Greet(r)
	}
	if typed := slices.ContainsFunc(a.Fields, func(f authz.Field) bool { return f.Name == "Content-Type" }); typed != (a.Body != nil) {
		b.t.Errorf("%s %s: %d says what its body is: %v; it has one: %v", method, target, a.Status, typed, a.Body != nil)
	}
	for _, f := range a.Fields {
		if strings.ContainsAny(f.Value, "\r\n") {
			b.t.Errorf("%s %s: a field with a line end: %q", method, target, f.Value)
		}
		if f.Name != "Set-Cookie" {
			continue
		}
		name, rest, _ := strings.Cut(f.Value, "=")
		value, attributes, _ := strings.Cut(rest, ";")
		if !strings.HasPrefix(name, "__Host-sluice_") || !strings.Contains(attributes, "Secure") || !strings.Contains(attributes, "HttpOnly") || !strings.Contains(attributes, "SameSite=Lax") || !strings.Contains(attributes, "Path=/") {
			b.t.Errorf("a cookie that browsers do not keep, or that scripts read: %s", f.Value)
		}
		if b.cookies[name] = value; strings.Contains(attributes, "Max-Age=0") {
			delete(b.cookies, name)
		}
	}
	return a
}

func (b *browser) get(target string) authz.Answer { b.t.Helper(); return b.do("GET", target, nil, "") }

// login goes to a page and signs in, and returns what the callback answered.
func (b *browser) login(p *idp, target string) authz.Answer {
	b.t.Helper()
	a := b.get(target)
	if a.Status != 302 {
		b.t.Fatalf("%s: %d %s", target, a.Status, a.Reason)
	}
	return b.get(p.consent(field(a, "Location")))
}

func (b *browser) identity() *authz.Identity {
	id, _ := b.at.Try(b.request("GET", "/", nil))
	return id
}

func field(a authz.Answer, name string) string {
	for _, f := range a.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// want checks the status and reason of an answer.
func want(t *testing.T, what string, a authz.Answer, status int, reason string) {
	t.Helper()
	if a.Status != status || a.Reason != reason {
		t.Errorf("%s: %d %s, want %d %s\n%s", what, a.Status, a.Reason, status, reason, a.Body)
	}
}

// attemptCookies counts those of a browser.
func (b *browser) attemptCookies() (n int) {
	for name := range b.cookies {
		if strings.HasPrefix(name, attemptPrefix) {
			n++
		}
	}
	return n
}

// inWorld runs a test by a clock of its own, with a provider and a replica.
func inWorld(t *testing.T, test func(t *testing.T, p *idp, r *replica)) {
	t.Helper()
	chain()
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t)
		test(t, p, start(t, p, nil))
	})
}
