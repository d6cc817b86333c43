package assertion

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sluiceproxy/sluice/authz"
)

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func edKey(t *testing.T) string {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf(t, key)
}

// ecKey is as openssl ecparam -genkey writes it.
func ecKey(t *testing.T, curve elliptic.Curve) string {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" +
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newSigner(t *testing.T, cfg Config, text string) *Signer {
	t.Helper()
	cfg.File = filepath.Join(t.TempDir(), "keys.pem")
	write(t, cfg.File, text)
	s := New(cfg)
	if changed, err := s.Load(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	return s
}

// verify does what an upstream does, with the keys that the site publishes.
func verify(t *testing.T, s *Signer, token, host string, now time.Time) (map[string]any, error) {
	t.Helper()
	var set jose.JSONWebKeySet
	a := s.Serve(&authz.Request{Method: "GET"}, nil)
	if a.Status != 200 {
		t.Fatalf("keys are answered %d", a.Status)
	}
	if strings.Contains(string(a.Body), `"d"`) {
		t.Fatal("a private key is published")
	}
	if err := json.Unmarshal(a.Body, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
	if err != nil {
		return nil, err
	}
	var std jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(&set, &std, &all); err != nil {
		return nil, err
	}
	return all, std.ValidateWithLeeway(jwt.Expected{Issuer: host, AnyAudience: jwt.Audience{host}, Time: now}, 0)
}

var ann = &authz.Identity{Method: "oidc", User: "ann", Email: "ann@a.test", Groups: []string{"a", "b,c"}, Session: &authz.Session{ID: "s1"}}

func TestUpstreamsCanVerify(t *testing.T) {
	now := time.Now()
	for name, key := range map[string]string{"Ed25519": edKey(t), "P-256": ecKey(t, elliptic.P256())} {
		s := newSigner(t, Config{}, key)
		token := s.Assert(ann, []byte("app.test"), now)
		got, err := verify(t, s, token, "app.test", now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got["sub"] != "ann" || got["email"] != "ann@a.test" || got["sid"] != "s1" || got["auth_method"] != "oidc" || fmt.Sprint(got["groups"]) != "[a b,c]" || got["jti"] == "" {
			t.Errorf("%s: got %v", name, got)
		}
		if _, err := verify(t, s, token, "other.test", now); err == nil {
			t.Errorf("%s: it is good for another host", name)
		}
		if _, err := verify(t, s, token, "app.test", now.Add(5*time.Minute+time.Second)); err == nil {
			t.Errorf("%s: it lasts", name)
		}
		body, sig := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.'):]
		if _, err := verify(t, s, strings.Replace(body, body[len(body)-4:], "AAAA", 1)+sig, "app.test", now); err == nil {
			t.Errorf("%s: it can be changed", name)
		}
	}
}

// A token is remembered for its user and host, and always has half of its life before it.
func TestTokensAreRemembered(t *testing.T) {
	s := newSigner(t, Config{Lifetime: time.Minute}, edKey(t))
	now := time.Now()
	first := s.Assert(ann, []byte("a"), now)
	for _, c := range []struct {
		id   *authz.Identity
		host string
		at   time.Duration
		same bool
	}{
		{ann, "a", 29 * time.Second, true},
		{ann, "b", 0, false},
		{&authz.Identity{User: "bob"}, "a", 0, false},
		{ann, "a", 31 * time.Second, false},
	} {
		got := s.Assert(c.id, []byte(c.host), now.Add(c.at))
		if (got == first) != c.same {
			t.Errorf("%s at %s after %s: same %v", c.id.User, c.host, c.at, got == first)
		}
		if claims, err := verify(t, s, got, c.host, now.Add(c.at+30*time.Second)); err != nil || claims["sub"] != c.id.User {
			t.Errorf("%s at %s after %s: %v %v", c.id.User, c.host, c.at, claims, err)
		}
	}
	host := []byte("a")
	if n := testing.AllocsPerRun(100, func() { s.Assert(ann, host, now.Add(31*time.Second)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is remembered is bounded, and what was not remembered is signed again.
func TestMemoryIsBounded(t *testing.T) {
	s := newSigner(t, Config{}, edKey(t))
	now := time.Now()
	for i := range maxTokens + 200 {
		s.Assert(ann, fmt.Appendf(nil, "h%d", i), now)
	}
	if n := len(s.state.Load().tokens); n > maxTokens {
		t.Errorf("%d are remembered", n)
	}
	if _, err := verify(t, s, s.Assert(ann, []byte("h0"), now), "h0", now); err != nil {
		t.Error(err)
	}
}

// Keys rotate without a moment in which a token cannot be verified: a key is published before it signs, and after.
func TestRotation(t *testing.T) {
	old, next := edKey(t), ecKey(t, elliptic.P256())
	s := newSigner(t, Config{}, old)
	now := time.Now()
	a := s.Assert(ann, []byte("h"), now)
	steps := []string{old + next, next + old, next}
	for i, text := range steps {
		write(t, s.cfg.File, text)
		if changed, err := s.Load(); err != nil || !changed {
			t.Fatal(changed, err)
		}
		b := s.Assert(ann, []byte("h"), now)
		if _, err := verify(t, s, b, "h", now); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
		if _, err := verify(t, s, a, "h", now); (err == nil) != (i < 2) {
			t.Errorf("step %d: the token of the old key: %v", i, err)
		}
	}
	if changed, err := s.Load(); changed || err != nil {
		t.Error(changed, err)
	}
	for _, bad := range []string{"", "nothing", next + next} {
		write(t, s.cfg.File, bad)
		if _, err := s.Load(); err == nil || s.Len() != 1 {
			t.Errorf("%q: %v, %d keys in force", bad, err, s.Len())
		}
	}
}

func TestFaultsOfFiles(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	one := edKey(t)
	for text, want := range map[string]string{
		"":                        "no private key",
		ecKey(t, elliptic.P384()): "key 1: neither Ed25519 nor P-256",
		pemOf(t, rsaKey):          "key 1: neither",
		one + one:                 "key 2 is in the file twice",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": `key 1: "CERTIFICATE"`,
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": "key 1: ",
		strings.Repeat("x", maxKeyFile+1):                                "larger than",
	} {
		name := filepath.Join(t.TempDir(), "k.pem")
		write(t, name, text)
		if err := CheckFile(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	many := ""
	for range maxKeys + 1 {
		many += edKey(t)
	}
	if _, err := parseKeys([]byte(many)); err == nil {
		t.Error("too many keys are taken")
	}
	if err := CheckFile(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is fine")
	}
}

func TestTheSite(t *testing.T) {
	none := New(Config{File: "none"})
	if got := none.Assert(ann, []byte("h"), time.Now()); got != "" {
		t.Errorf("without keys: %q", got)
	}
	if a := none.Serve(&authz.Request{Method: "GET"}, nil); a.Status != 503 {
		t.Errorf("without keys: %d", a.Status)
	}
	if none.Owns([]byte(PomeriumPath)) || !none.Owns([]byte(Path)) || none.Owns([]byte(Path+"/")) {
		t.Error("it owns others' paths")
	}
	s := newSigner(t, Config{Pomerium: true}, edKey(t))
	if !s.Owns([]byte(PomeriumPath)) {
		t.Error("Pomerium's path is not its")
	}
	if a := s.Serve(&authz.Request{Method: "POST"}, nil); a.Status != 405 {
		t.Errorf("a POST: %d", a.Status)
	}
}

func TestConcurrentUse(t *testing.T) {
	a, b := edKey(t), edKey(t)
	s := newSigner(t, Config{}, a)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 200 {
				if g == 0 {
					write(t, s.cfg.File+".new", []string{a + b, b + a}[i%2])
					_ = os.Rename(s.cfg.File+".new", s.cfg.File)
					if _, err := s.Load(); err != nil {
						t.Error(err)
					}
					continue
				}
				host := fmt.Sprint("h", i%3)
				if _, err := verify(t, s, s.Assert(ann, []byte(host), time.Now()), host, time.Now()); err != nil && !strings.Contains(err.Error(), "not found") {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkAssertRemembered(b *testing.B) { benchmark(b, time.Hour) }
func BenchmarkAssertSigned(b *testing.B)     { benchmark(b, time.Nanosecond) }

func benchmark(b *testing.B, lifetime time.Duration) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	name := filepath.Join(b.TempDir(), "k.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		b.Fatal(err)
	}
	s := New(Config{File: name, Lifetime: lifetime})
	if _, err := s.Load(); err != nil {
		b.Fatal(err)
	}
	now, host := time.Now(), []byte("app.test")
	b.ReportAllocs()
	for i := range b.N {
		s.Assert(ann, host, now.Add(time.Duration(i)))
	}
}
