package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// keychain is an issuer's keys, made once for all tests.
type keychain struct {
	rsa, other *rsa.PrivateKey
	ec         *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
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
	if _, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		panic(err)
	}
	return k
})

// fixed is keys that do not change by themselves.
type fixed struct {
	set     *issuer.KeySet
	fresh   bool
	fetches int
	next    *issuer.KeySet // in force after a Refetch; nil: the same
}

func (f *fixed) Current() *issuer.KeySet { return f.set }

func (f *fixed) Refetch(context.Context) bool {
	f.fetches++
	if f.next != nil {
		f.set = f.next
	}
	return f.fresh
}

func keySet(t testing.TB, keys ...jose.JSONWebKey) *issuer.KeySet {
	t.Helper()
	src, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	set, err := issuer.ParseKeySet(src)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func public(t testing.TB) *issuer.KeySet {
	k := chain()
	return keySet(t, jose.JSONWebKey{KeyID: "rsa", Key: k.rsa.Public(), Use: "sig"}, jose.JSONWebKey{KeyID: "ec", Key: k.ec.Public()},
		jose.JSONWebKey{KeyID: "ed", Key: k.ed.Public()}, jose.JSONWebKey{KeyID: "only256", Key: k.rsa.Public(), Algorithm: "RS256"},
		jose.JSONWebKey{KeyID: "enc", Key: k.other.Public(), Use: "enc"})
}

func authenticator(t testing.TB, keys issuer.Keys) *Authenticator {
	t.Helper()
	other := &fixed{fresh: true, set: keySet(t, jose.JSONWebKey{KeyID: "rsa", Key: chain().other.Public()})}
	a, err := New(Config{Now: func() time.Time { return now }, Cache: 4, Issuers: []Issuer{
		{Issuer: "https://idp.test", Audience: []string{"sluice", "edge"}, Keys: keys, Names: issuer.Names{Groups: "realm/roles"}},
		{Issuer: "https://other.test", Audience: []string{"sluice"}, Keys: other, Algorithms: []string{"RS256", "RS512"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// token is what is signed, and how.
type token struct {
	alg    string
	kid    string
	key    crypto.Signer
	header map[string]any
	claims map[string]any
	raw    string // instead of claims
}

func (tk token) text(t testing.TB) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	for k, v := range tk.header {
		opts = opts.WithHeader(jose.HeaderKey(k), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(tk.alg), Key: jose.JSONWebKey{Key: tk.key, KeyID: tk.kid}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(tk.raw)
	if tk.raw == "" {
		if payload, err = json.Marshal(tk.claims); err != nil {
			t.Fatal(err)
		}
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// good is a token that is believed, with changes.
func good(change map[string]any) token {
	c := map[string]any{"iss": "https://idp.test", "aud": "sluice", "sub": "u-1", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix()}
	maps.Copy(c, change)
	for k, v := range change {
		if v == nil {
			delete(c, k)
		}
	}
	return token{alg: "RS256", kid: "rsa", key: chain().rsa, claims: c}
}

func (tk token) with(change func(*token)) token { change(&tk); return tk }

// another is a token with other bits where its signature has none.
func another(token string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, token[len(token)-1])
	return token[:len(token)-1] + string(digits[last|1])
}

type fields map[string][]string

func (f fields) Field(name string) ([]byte, int) {
	if v := f[name]; len(v) > 0 {
		return []byte(v[0]), len(v)
	}
	return nil, 0
}

func ask(a *Authenticator, values ...string) (*authz.Identity, authz.Verdict) {
	req := &authz.Request{Fields: fields{"authorization": values}}
	if id, v := a.Try(req); v != authz.Pending {
		return id, v
	}
	return a.Resolve(req)
}

func TestTokensThatAreBelieved(t *testing.T) {
	k := chain()
	for name, tk := range map[string]token{
		"RS256":              good(nil),
		"ES256":              good(nil).with(func(tk *token) { tk.alg, tk.kid, tk.key = "ES256", "ec", k.ec }),
		"EdDSA":              good(nil).with(func(tk *token) { tk.alg, tk.kid, tk.key = "EdDSA", "ed", k.ed }),
		"no kid, one fits":   good(nil).with(func(tk *token) { tk.alg, tk.kid, tk.key = "ES256", "", k.ec }),
		"typ JWT":            good(nil).with(func(tk *token) { tk.header = map[string]any{"typ": "JWT"} }),
		"typ at+jwt":         good(nil).with(func(tk *token) { tk.header = map[string]any{"typ": "application/at+JWT"} }),
		"several audiences":  good(map[string]any{"aud": []string{"x", "edge"}}),
		"expired in leeway":  good(map[string]any{"exp": now.Add(-20 * time.Second).Unix()}),
		"not before, nearly": good(map[string]any{"nbf": now.Add(20 * time.Second).Unix()}),
		"a fraction":         good(map[string]any{"exp": float64(now.Unix()) + 30.5}),
	} {
		if id, v := ask(authenticator(t, &fixed{set: public(t), fresh: true}), "Bearer "+tk.text(t)); v != authz.Allow || id.User != "u-1" || id.Method != "jwt" {
			t.Errorf("%s: %v %+v", name, v, id)
		}
	}
}

// Each of these is refused, and none is taken for no credential.
func TestTokensThatAreNotBelieved(t *testing.T) {
	k := chain()
	der, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	whole := good(nil).text(t)
	parts := strings.Split(whole, ".")
	claims := parts[1]
	hmac := func(secret []byte) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, (&jose.SignerOptions{}).WithHeader("kid", "rsa"))
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := base64.RawURLEncoding.DecodeString(claims)
		jws, err := s.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := jws.CompactSerialize()
		return out
	}
	many := map[string]any{}
	for i := range issuer.MaxClaims + 1 {
		many[fmt.Sprint("c", i)] = "x"
	}
	groups := make([]string, issuer.MaxGroups+1)
	for i := range groups {
		groups[i] = fmt.Sprint("g", i)
	}
	for name, text := range map[string]string{
		"alg none":                    b64([]byte(`{"alg":"none"}`)) + "." + claims + ".",
		"alg None":                    b64([]byte(`{"alg":"None","kid":"rsa"}`)) + "." + claims + "." + parts[2],
		"alg none, signed":            b64([]byte(`{"alg":"none","kid":"rsa"}`)) + "." + claims + "." + parts[2],
		"HMAC by the public key":      hmac(der),
		"no signature":                parts[0] + "." + claims + ".",
		"another's signature":         parts[0] + "." + claims + "." + strings.Split(good(map[string]any{"sub": "u-2"}).text(t), ".")[2],
		"other claims":                parts[0] + "." + b64([]byte(`{"iss":"https://idp.test","aud":"sluice","sub":"root","exp":99999999999}`)) + "." + parts[2],
		"the same, written otherwise": another(whole),
		"an algorithm not listed":     good(nil).with(func(tk *token) { tk.alg = "RS512" }).text(t),
		"PS256":                       good(nil).with(func(tk *token) { tk.alg = "PS256" }).text(t),
		"listed for another":          good(nil).with(func(tk *token) { tk.alg, tk.kid = "RS512", "only256" }).text(t),
		"a key of another issuer":     good(nil).with(func(tk *token) { tk.key = k.other }).text(t),
		"iss of another":              good(map[string]any{"iss": "https://other.test"}).text(t),
		"a key for encryption":        good(nil).with(func(tk *token) { tk.kid, tk.key = "enc", k.other }).text(t),
		"an unknown kid":              good(nil).with(func(tk *token) { tk.kid = "../../rsa" }).text(t),
		"no kid, two fit":             good(nil).with(func(tk *token) { tk.kid = "" }).text(t),
		"kid of another kind":         good(nil).with(func(tk *token) { tk.kid = "ec" }).text(t),
		"a key it brings along": good(nil).with(func(tk *token) {
			tk.key, tk.header = k.other, map[string]any{"jwk": jose.JSONWebKey{Key: k.other.Public(), KeyID: "rsa"}}
		}).text(t),
		"a key it points at": good(nil).with(func(tk *token) { tk.key, tk.header = k.other, map[string]any{"jku": "https://evil.test/keys"} }).text(t),
		"crit":               good(nil).with(func(tk *token) { tk.header = map[string]any{"crit": []string{"exp"}, "exp": 1} }).text(t),
		"typ logout":         good(nil).with(func(tk *token) { tk.header = map[string]any{"typ": "logout+jwt"} }).text(t),
		"typ not a string":   good(nil).with(func(tk *token) { tk.header = map[string]any{"typ": 1} }).text(t),

		"expired":            good(map[string]any{"exp": now.Add(-31 * time.Second).Unix()}).text(t),
		"without exp":        good(map[string]any{"exp": nil}).text(t),
		"exp is a string":    good(map[string]any{"exp": "99999999999"}).text(t),
		"exp is too large":   good(map[string]any{"exp": 1e30}).text(t),
		"not yet":            good(map[string]any{"nbf": now.Add(time.Minute).Unix()}).text(t),
		"from the future":    good(map[string]any{"iat": now.Add(time.Minute).Unix()}).text(t),
		"for somebody else":  good(map[string]any{"aud": "grafana"}).text(t),
		"for nobody":         good(map[string]any{"aud": nil}).text(t),
		"aud in part":        good(map[string]any{"aud": "sluice2"}).text(t),
		"aud of numbers":     good(map[string]any{"aud": []any{"sluice", 1}}).text(t),
		"an unknown issuer":  good(map[string]any{"iss": "https://idp.test/"}).text(t),
		"without an issuer":  good(map[string]any{"iss": nil}).text(t),
		"without a user":     good(map[string]any{"sub": nil}).text(t),
		"an empty user":      good(map[string]any{"sub": ""}).text(t),
		"a user of lines":    good(map[string]any{"sub": "u\r\nX-Sluice-Groups: admins"}).text(t),
		"a user as a number": good(map[string]any{"sub": 7}).text(t),
		"groups of numbers":  good(map[string]any{"realm": map[string]any{"roles": []int{1}}}).text(t),
		"groups of lines":    good(map[string]any{"realm": map[string]any{"roles": []string{"a\nb"}}}).text(t),
		"too many groups":    good(map[string]any{"realm": map[string]any{"roles": groups}}).text(t),
		"too many claims":    good(many).text(t),
		"a claim twice":      token{alg: "RS256", kid: "rsa", key: k.rsa, raw: `{"iss":"https://idp.test","aud":"sluice","sub":"u-1","sub":"root","exp":1795953600000}`}.text(t),
		"no object":          token{alg: "RS256", kid: "rsa", key: k.rsa, raw: `["sub"]`}.text(t),
		"nothing":            token{alg: "RS256", kid: "rsa", key: k.rsa, raw: `null`}.text(t),
		"too long":           good(map[string]any{"x": strings.Repeat("x", maxToken)}).text(t),
	} {
		a := authenticator(t, &fixed{set: public(t), fresh: true})
		if id, v := ask(a, "Bearer "+text); v != authz.Challenge || id != nil {
			t.Errorf("%s: %v %+v", name, v, id)
		}
	}
	if id, v := ask(authenticator(t, &fixed{set: public(t), fresh: true}), "Bearer "+whole, "Bearer "+whole); v != authz.Challenge || id != nil {
		t.Errorf("twice: %v", v)
	}
}

// What is no token of this kind is left to other authenticators.
func TestOtherCredentials(t *testing.T) {
	a := authenticator(t, &fixed{set: public(t), fresh: true})
	whole := good(nil).text(t)
	for _, value := range []string{"Basic dTpw", "Bearer", "Bearer ", "Bearer demo-key", "Bearer a.b.c", "Bearer eyJhbGciOi", "Bearer eyJ.a.b.c", "Token " + whole, whole, "Bearer " + whole + "=", "Bearer eyJ a.b.c"} {
		if id, v := ask(a, value); v != authz.Deny || id != nil {
			t.Errorf("%.30s: %v", value, v)
		}
	}
	if id, v := ask(a); v != authz.Deny || id != nil {
		t.Errorf("none: %v", v)
	}
	if _, v := a.Try(&authz.Request{}); v != authz.Deny {
		t.Errorf("no fields: %v", v)
	}
	if _, v := ask(a, "bearer   "+whole); v != authz.Allow {
		t.Errorf("in small letters, with blanks: %v", v)
	}
}

func TestIdentity(t *testing.T) {
	a := authenticator(t, &fixed{set: public(t), fresh: true})
	id, v := ask(a, "Bearer "+good(map[string]any{
		"email": "a@b.test", "realm": map[string]any{"roles": []string{"eng", "ops"}, "name": "x"}, "amr": []string{"mfa", "pwd"}, "level": 3, "staff": true,
		"deep": map[string]any{"a": map[string]any{"b": "c"}}, "list": []any{"a", 1, map[string]any{"x": "y"}, nil}, "jti": "j", "nothing": nil,
	}).text(t))
	want := &authz.Identity{Method: "jwt", User: "u-1", Email: "a@b.test", Groups: []string{"eng", "ops"}, Claims: map[string][]string{
		"sub": {"u-1"}, "email": {"a@b.test"}, "realm/roles": {"eng", "ops"}, "realm/name": {"x"}, "amr": {"mfa", "pwd"}, "level": {"3"}, "staff": {"true"}, "deep/a/b": {"c"}, "list": {"a", "1"}}}
	if v != authz.Allow || !reflect.DeepEqual(id, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", v, id, want)
	}
	for _, c := range []map[string]any{{"email": "a@b.test", "email_verified": false}, {"email": "a@b.test", "email_verified": "false"}, {"email": " a@b.test"}, {"email": "a@b.test\u0085"}} {
		if id, _ := ask(a, "Bearer "+good(c).text(t)); id == nil || id.Email != "" {
			t.Errorf("%q: an address that nobody verified, or that a server would trim: %+v", c, id)
		}
	}
	if id, _ := ask(a, "Bearer "+good(map[string]any{"email": "a@b.test", "email_verified": "true"}).text(t)); id == nil || id.Email != "a@b.test" {
		t.Errorf("an address that was verified: %+v", id)
	}
	for _, user := range []string{" root", "root ", "root\u00a0", "ro\u009b1mot"} {
		if id, v := ask(a, "Bearer "+good(map[string]any{"sub": user}).text(t)); v != authz.Challenge {
			t.Errorf("%q: %v %+v, and a server that trims has another", user, v, id)
		}
	}
}

// stuck is an issuer that does not answer.
type stuck struct {
	set     *issuer.KeySet
	waiting chan struct{} // one for each that waits
	release chan struct{}
}

func (s *stuck) Current() *issuer.KeySet { return s.set }
func (s *stuck) Refetch(context.Context) bool {
	s.waiting <- struct{}{}
	<-s.release
	return false
}

// Tokens with keys that nobody has do not fill all places: those beyond a bound do not wait.
func TestFewWaitForKeys(t *testing.T) {
	keys := &stuck{set: public(t), waiting: make(chan struct{}), release: make(chan struct{})}
	a := authenticator(t, keys)
	tk := good(nil)
	tk.kid = "nobody's"
	text := "Bearer " + tk.text(t)
	verdicts := make(chan authz.Verdict, issuer.MaxWaiting)
	for range issuer.MaxWaiting {
		go func() { _, v := ask(a, text); verdicts <- v }()
		<-keys.waiting
	}
	if _, v := ask(a, text); v != authz.Unavailable {
		t.Errorf("one more: %v", v)
	}
	if _, v := ask(a, "Bearer "+good(nil).text(t)); v != authz.Allow {
		t.Errorf("a good token meanwhile: %v", v)
	}
	close(keys.release)
	for range issuer.MaxWaiting {
		if v := <-verdicts; v != authz.Unavailable {
			t.Errorf("who waited: %v", v)
		}
	}
	go func() { <-keys.waiting }() // a place is free again
	if _, v := ask(a, text); v != authz.Unavailable {
		t.Errorf("one more, afterwards: %v", v)
	}
}

// A token is verified once, until it expires or the keys change.
func TestTokensAreRemembered(t *testing.T) {
	keys := &fixed{set: public(t), fresh: true}
	a := authenticator(t, keys)
	at := now
	a.now = func() time.Time { return at }
	req := &authz.Request{Fields: fields{"authorization": {"Bearer " + good(nil).text(t)}}}
	if _, v := a.Try(req); v != authz.Pending {
		t.Fatalf("before: %v", v)
	}
	if _, v := a.Resolve(req); v != authz.Allow {
		t.Fatal(v)
	}
	if id, v := a.Try(req); v != authz.Allow || id.User != "u-1" {
		t.Errorf("after: %v", v)
	}
	if n := testing.AllocsPerRun(100, func() { a.Try(&authz.Request{Fields: constant(req.Fields.(fields)["authorization"][0])}) }); n > 2 { // the test's own
		t.Errorf("%v allocations", n)
	}
	at = now.Add(90*time.Second - 1)
	if _, v := a.Try(req); v != authz.Allow {
		t.Errorf("nearly expired: %v", v)
	}
	at = now.Add(90 * time.Second)
	if _, v := a.Try(req); v != authz.Challenge {
		t.Errorf("expired: %v", v)
	}
	at = now
	keys.set = keySet(t, jose.JSONWebKey{KeyID: "rsa", Key: chain().other.Public()})
	if _, v := a.Try(req); v != authz.Pending {
		t.Errorf("with other keys: %v", v)
	}
	if _, v := a.Resolve(req); v != authz.Challenge {
		t.Errorf("with other keys, verified: %v", v)
	}
	for i := range 20 {
		if _, v := ask(a, "Bearer "+good(map[string]any{"iss": "https://other.test", "n": i}).with(func(tk *token) { tk.key = chain().other }).text(t)); v != authz.Allow {
			t.Fatalf("%d: %v", i, v)
		}
	}
	if n := len(a.cache.tokens); n > 4 {
		t.Errorf("%d are remembered, 4 are the limit", n)
	}
}

type constant string

func (c constant) Field(string) ([]byte, int) { return []byte(c), 1 }

// What is not known now is not a wrong token.
func TestKeysThatAreNotKnown(t *testing.T) {
	text := "Bearer " + good(nil).text(t)
	none := &fixed{}
	if _, v := ask(authenticator(t, none), text); v != authz.Unavailable || none.fetches != 1 {
		t.Errorf("no keys yet: %v, %d fetches", v, none.fetches)
	}
	rotated := &fixed{set: keySet(t, jose.JSONWebKey{KeyID: "old", Key: chain().other.Public()}), next: public(t), fresh: true}
	if _, v := ask(authenticator(t, rotated), text); v != authz.Allow || rotated.fetches != 1 {
		t.Errorf("new keys: %v, %d fetches", v, rotated.fetches)
	}
	silent := &fixed{set: keySet(t, jose.JSONWebKey{KeyID: "old", Key: chain().other.Public()})}
	if _, v := ask(authenticator(t, silent), text); v != authz.Unavailable {
		t.Errorf("an issuer that does not answer: %v", v)
	}
	known := &fixed{set: public(t)} // silent, but the key is there
	if _, v := ask(authenticator(t, known), text); v != authz.Allow || known.fetches != 0 {
		t.Errorf("a key that is known: %v, %d fetches", v, known.fetches)
	}
	for name, tk := range map[string]token{"expired": good(map[string]any{"exp": 1}), "unknown issuer": good(map[string]any{"iss": "x"}), "audience": good(map[string]any{"aud": "x"})} {
		none := &fixed{}
		if _, v := ask(authenticator(t, none), "Bearer "+tk.text(t)); v != authz.Challenge || none.fetches != 0 {
			t.Errorf("%s: %v, %d fetches: it is refused without keys", name, v, none.fetches)
		}
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	keys := &fixed{}
	is := Issuer{Issuer: "a", Audience: []string{"b"}, Keys: keys}
	for want, c := range map[string]Config{
		"no issuer":   {},
		"no name":     {Issuers: []Issuer{{Audience: []string{"b"}, Keys: keys}}},
		"audience":    {Issuers: []Issuer{{Issuer: "a", Keys: keys}}},
		"no keys":     {Issuers: []Issuer{{Issuer: "a", Audience: []string{"b"}}}},
		"given twice": {Issuers: []Issuer{is, is}},
		`"HS256"`:     {Issuers: []Issuer{{Issuer: "a", Audience: []string{"b"}, Keys: keys, Algorithms: []string{"RS256", "HS256"}}}},
		`"none"`:      {Issuers: []Issuer{{Issuer: "a", Audience: []string{"b"}, Keys: keys, Algorithms: []string{"none"}}}},
	} {
		if a, err := New(c); err == nil || a != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if slices.Contains(Algorithms(), "HS256") || slices.Contains(Algorithms(), "none") {
		t.Error(Algorithms())
	}
}

// FuzzToken: whatever is presented, nothing is believed that was not signed.
func FuzzToken(f *testing.F) {
	a := authenticator(f, &fixed{set: public(f), fresh: true})
	f.Add(good(nil).text(f))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	signed := map[string]bool{good(nil).text(f): true}
	f.Fuzz(func(t *testing.T, text string) {
		id, v := ask(a, "Bearer "+text)
		if (id != nil) != (v == authz.Allow) || v == authz.Allow && !signed[strings.TrimLeft(text, " ")] {
			t.Fatalf("%v %+v", v, id)
		}
	})
}

func BenchmarkTry(b *testing.B) {
	a := authenticator(b, &fixed{set: public(b), fresh: true})
	req := &authz.Request{Fields: fields{"authorization": {"Bearer " + good(nil).text(b)}}}
	if _, v := a.Resolve(req); v != authz.Allow {
		b.Fatal(v)
	}
	b.ReportAllocs()
	for b.Loop() {
		a.Try(req)
	}
}

// What is remembered is bounded by its memory, too: a token may have a thousand groups.
func TestMemoryOfTokens(t *testing.T) {
	c := cache{limit: 10_000}
	keys := &fixed{set: public(t)}
	groups := make([]string, issuer.MaxGroups)
	for i := range groups {
		groups[i] = fmt.Sprintf("group-%04d", i)
	}
	large := &authz.Identity{User: "u", Groups: groups, Claims: map[string][]string{"a": groups[:100]}}
	put := func(i int, id *authz.Identity) {
		c.put(sha256.Sum256(fmt.Append(nil, i)), &verified{identity: id, until: now.Add(time.Hour), keys: keys.set, from: keys}, now)
	}
	for i := range 2000 {
		put(i, large)
		put(i%7, large) // again: it counts once
		if c.weight > maxRemembered || c.weight != len(c.tokens)*weigh(large) {
			t.Fatalf("%d tokens weigh %d bytes, want %d each and at most %d", len(c.tokens), c.weight, weigh(large), maxRemembered)
		}
	}
	if n := len(c.tokens); n < 100 {
		t.Errorf("only %d are remembered", n)
	}
	small := &authz.Identity{User: "u-1", Email: "a@b.test", Groups: []string{"a", "b"}, Claims: map[string][]string{"sub": {"u-1"}, "email": {"a@b.test"}, "name": {"A B"}}}
	c = cache{limit: 10_000}
	for i := range 10_001 {
		put(i, small)
	}
	if n := len(c.tokens); n != 10_000 {
		t.Errorf("%d ordinary ones are remembered, want 10000", n)
	}
}
