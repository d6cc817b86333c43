package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestWhy: whoever was refused can be told why, by the ID in the answer.
func TestWhy(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{policy: policyFor(up.web, up.raw, "v1")})
	ask := func(request string, status int) string {
		t.Helper()
		r := <-begin(t, s.web, request)
		if r.err != nil || r.answer.status != status {
			t.Fatalf("%q: %d %v, want %d", request, r.answer.status, r.err, status)
		}
		return r.answer.head.Get("X-Request-Id")
	}
	why := func(id string, code int, want ...string) {
		t.Helper()
		out, got := s.cli(t, "why", id, "--config", s.file("sluice.yaml"))
		if got != code {
			t.Errorf("exit code %d, want %d\n%s", got, code, out)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%q is missing in\n%s", w, out)
			}
		}
	}
	secret := ask(get("/secret//x?token=hidden", "X-Api-Key: "+goodKey), 403)
	why(secret, 0, "GET app.example.com/secret/x from 127.0.0.1", "403 ", "by api_key", "route secret", "the policy in the files says the same", "nearest:")
	why(ask(get("/private"), 401), 0, "401 user-unauthenticated", "nobody was known", "route private", "unknown")
	why(ask(get("/private", "X-Api-Key: wrong"), 401), 0, "401 credential_invalid", "the credential was not valid")
	why("0123456789abcdef0123456789abcdef", 1, "only the last few hundred are kept")
	why("../../policy", 1)

	out, _ := s.cli(t, "why", secret, "--json", "--config", s.file("sluice.yaml"))
	if strings.Contains(out, "hidden") {
		t.Errorf("the query is in\n%s", out)
	}
	var got struct {
		Request struct{ Path, Route, SourceIP string }
		Changed bool
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Request.Path != "/secret/x" || got.Changed {
		t.Errorf("%v: %s", err, out)
	}
	// The files change, and are not in force yet, or are no more what was: it says so.
	write(t, s.file("policy/main.yaml"), strings.Replace(policyFor(up.web, up.raw, "v1"), "path: {prefix: /secret}", "path: {prefix: /secrets}", 1))
	why(secret, 0, "the policy in the files says otherwise")
}

// TestWhyOfAPreflight: a browser's question goes through where rules say so, and is remembered as what it
// was where they do not.
func TestWhyOfAPreflight(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{policy: strings.NewReplacer(
		"{groups: {has: engineers}}", "{or: [{groups: {has: engineers}}, {cors_preflight: true}]}",
		"[{allow: {and: [{groups: {has: admins}}]}}]", "[{allow: {and: [{accept: true}]}}, {deny: {or: [{cors_preflight: true}]}}]",
	).Replace(policyFor(up.web, up.raw, "v1"))})
	preflight := func(path string) reply {
		return <-begin(t, s.web, strings.Replace(get(path, "Origin: https://b.test", "Access-Control-Request-Method: PUT"), "GET", "OPTIONS", 1))
	}
	if r := preflight("/private"); r.err != nil || r.answer.status != 200 {
		t.Errorf("where it is allowed: %d %v", r.answer.status, r.err)
	}
	r := preflight("/secret")
	if r.err != nil || r.answer.status != 403 {
		t.Fatalf("where it is denied: %d %v", r.answer.status, r.err)
	}
	out, code := s.cli(t, "why", r.answer.head.Get("X-Request-Id"), "--config", s.file("sluice.yaml"))
	if code != 0 || !strings.Contains(out, "403 cors-preflight-unauthorized") || !strings.Contains(out, "the policy in the files says the same") || !strings.Contains(out, "(a preflight)") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
