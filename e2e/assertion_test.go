package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newAssertionKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// assertedBy verifies a token as an upstream does that knows nothing of Sluice, by the published keys alone, and returns its claims.
func assertedBy(t *testing.T, jwks []byte, token string) (map[string]any, error) {
	t.Helper()
	var set struct {
		Keys []struct{ Kty, Crv, Alg, Kid, X, D string }
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatalf("%v: %s", err, jwks)
	}
	part := strings.Split(token, ".")
	if len(part) != 3 {
		return nil, fmt.Errorf("%q is no token", token)
	}
	var head struct{ Alg, Kid, Typ string }
	claims := map[string]any{}
	for i, into := range []any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, err
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if k.D != "" {
			t.Fatal("a private key is published")
		}
		if k.Kid != head.Kid {
			continue
		}
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || k.Kty != "OKP" || k.Crv != "Ed25519" || head.Alg != "EdDSA" {
			return nil, fmt.Errorf("key %+v of a token by %+v: %w", k, head, err)
		}
		return claims, ed25519.VerifyWithOptions(x, []byte(part[0]+"."+part[1]), signature, &ed25519.Options{})
	}
	return nil, fmt.Errorf("no key %q among %s", head.Kid, jwks)
}

// TestAssertions: an upstream can verify who sent a request, and goes on to while keys rotate.
func TestAssertions(t *testing.T) {
	t.Parallel()
	up, file := newUpstream(t), filepath.Join(t.TempDir(), "assertion.pem")
	old, next := newAssertionKey(t), newAssertionKey(t)
	write(t, file, old)
	policy := fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: open, path: {prefix: /open}, cluster: app, policy: [{allow: {or: [{accept: true}]}}]}
- {name: app, cluster: app, authenticate: [api_key], policy: [{allow: {or: [{authenticated_user: true}]}}]}
`, up.web)
	s := serve(t, up, setup{policy: policy, extra: fmt.Sprintf("assertion: {key_file: %q, pomerium: true}", file)})
	keys := func(path string) []byte {
		r := <-begin(t, s.web, get(path))
		if r.err != nil || r.answer.status != 200 || r.answer.head.Get("Content-Type") != "application/jwk-set+json" {
			t.Fatalf("%s: %v %d %v", path, r.err, r.answer.status, r.answer.head)
		}
		return []byte(r.answer.body)
	}
	n := 0
	check := func(what string) {
		n++
		path := fmt.Sprintf("/app/%d", n)
		forged := strings.Replace(bearing(path, goodKey), "\r\n\r\n", "\r\nX-Sluice-Jwt-Assertion: e30.e30.\r\nX_Pomerium_Jwt_Assertion: e30.e30.\r\n\r\n", 1)
		if r := <-begin(t, s.web, forged); r.err != nil || r.answer.status != 200 {
			t.Fatalf("%s: %v %d", what, r.err, r.answer.status)
		}
		got := up.log(path)
		if len(got) != 1 {
			t.Fatalf("%s: the upstream got %+v", what, got)
		}
		ours, theirs := got[0].head.Values("X-Sluice-Jwt-Assertion"), got[0].head.Values("X-Pomerium-Jwt-Assertion")
		if len(ours) != 1 || len(theirs) != 1 || ours[0] != theirs[0] || len(got[0].head.Values("X_pomerium_jwt_assertion")) > 0 {
			t.Fatalf("%s: the upstream got %q", what, got[0].head)
		}
		claims, err := assertedBy(t, keys("/.well-known/sluice/jwks.json"), ours[0])
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		left := time.Until(time.Unix(int64(claims["exp"].(float64)), 0))
		if claims["user"] != got[0].head.Get("X-Sluice-User") || claims["aud"] != "a.test" || left < 2*time.Minute || left > 5*time.Minute {
			t.Errorf("%s: claims %v, %s left", what, claims, left)
		}
	}
	check("one key")
	if string(keys("/.well-known/sluice/jwks.json")) != string(keys("/.well-known/pomerium/jwks.json")) {
		t.Error("the keys differ by path")
	}
	for _, step := range []string{old + next, next + old, next} {
		write(t, file, step)
		if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code != 0 {
			t.Fatalf("reload: %d %s", code, out)
		}
		check("rotating")
	}
	write(t, file, "nothing")
	if out, code := s.cli(t, "reload", "--config", s.file("sluice.yaml")); code == 0 {
		t.Errorf("a file without a key was taken: %s", out)
	}
	check("behind a broken file")
	if r := <-begin(t, s.web, get("/open/a")); r.err != nil || r.answer.status != 200 || len(up.log("/open/a")[0].head.Values("X-Sluice-Jwt-Assertion")) > 0 {
		t.Errorf("anonymous: %v %d %+v", r.err, r.answer.status, up.log("/open/a"))
	}
	if r := <-begin(t, s.web, get("/.well-known/sluice/none")); r.err != nil || r.answer.status != 404 || r.answer.head.Get("X-Sluice-Reason") != "no_site" {
		t.Errorf("no page: %v %d", r.err, r.answer.status)
	}
}
