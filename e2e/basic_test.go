package e2e

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"
)

// Hashes by bcrypt of cost 10.
const (
	hashOfRight = "$2a$10$BkeHewq8A5aE/Y2V6.Cuzu7v3euqm9z1SIq2Q5sCe0WMJrPiRMVyW"
	hashOfOther = "$2a$10$jNfl9z6vGdZTQ6HaYR8Mxu.lptwsOHC8h4ILiC2rh6PmrfG8Ay2tS"
)

func withPassword(path, pair string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n\r\n"
}

// TestPasswords: who it is, by user and password, from the wire.
func TestPasswords(t *testing.T) {
	t.Parallel()
	up, file := newUpstream(t), filepath.Join(t.TempDir(), "users")
	write(t, file, "ann:"+hashOfRight+":staff\nbob:"+hashOfRight+"\n")
	policy := fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: staff, path: {prefix: /staff}, cluster: app, authenticate: [api_key, basic], policy: [{allow: {and: [{groups: staff}]}}]}
`, up.web)
	s := serve(t, up, setup{policy: policy, known: fmt.Sprintf(", basic: {file: %q}", file)})
	for _, c := range []struct {
		name, request string
		status        int
		reason        string
	}{
		{"good", withPassword("/staff/a", "ann:right"), 200, ""},
		{"again, remembered", withPassword("/staff/b", "ann:right"), 200, ""},
		{"of another group", withPassword("/staff/c", "bob:right"), 403, "groups-unauthorized"},
		{"wrong password", withPassword("/staff/d", "ann:wrong"), 401, "credential_invalid"},
		{"unknown user", withPassword("/staff/e", "eve:right"), 401, "credential_invalid"},
		{"malformed", withPassword("/staff/f", "ann"), 401, "credential_invalid"},
		{"none", get("/staff/g"), 401, "user-unauthenticated"},
		{"an API key on the same route", bearing("/staff/h", goodKey), 403, "groups-unauthorized"},
	} {
		r := <-begin(t, s.web, c.request)
		if r.err != nil || r.answer.status != c.status || c.reason != "" && r.answer.head.Get("X-Sluice-Reason") != c.reason {
			t.Errorf("%s: %d %v %v, want %d %s", c.name, r.answer.status, r.answer.head, r.err, c.status, c.reason)
		}
		if challenges := r.answer.head.Values("WWW-Authenticate"); c.status == 401 && (len(challenges) != 2 || challenges[1] != `Basic realm="sluice", charset="UTF-8"`) {
			t.Errorf("%s: challenges %q", c.name, challenges)
		}
	}
	for _, path := range []string{"/staff/a", "/staff/b"} {
		got := up.log(path)
		if len(got) != 1 || got[0].head.Get("X-Sluice-User") != "ann" || got[0].head.Get("X-Sluice-Groups") != "staff" || got[0].head.Get("Authorization") != "" {
			t.Errorf("the upstream got %+v", got)
		}
	}
	// A reload takes a password back, although it is remembered; a broken file takes nothing.
	reload := func() int {
		_, code := s.cli(t, "reload", "--config", s.file("sluice.yaml"))
		return code
	}
	write(t, file, "ann:right\n")
	if reload() == 0 {
		t.Error("a broken file was taken")
	}
	if r := <-begin(t, s.web, withPassword("/staff/i", "ann:right")); r.err != nil || r.answer.status != 200 {
		t.Errorf("after a broken file: %d %v", r.answer.status, r.err)
	}
	write(t, file, "ann:"+hashOfOther+":staff\n")
	if code := reload(); code != 0 {
		t.Errorf("reload: %d", code)
	}
	if r := <-begin(t, s.web, withPassword("/staff/j", "ann:right")); r.err != nil || r.answer.status != 401 {
		t.Errorf("the old password: %d %v", r.answer.status, r.err)
	}
	if r := <-begin(t, s.web, withPassword("/staff/k", "ann:other")); r.err != nil || r.answer.status != 200 {
		t.Errorf("the new password: %d %v", r.answer.status, r.err)
	}
}
