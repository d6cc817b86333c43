package e2e

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
)

// TestBypass: one path, one meaning. Against a policy that refuses /admin and the host
// admin.example.com, each request of cases/bypass is refused, or what the upstream got
// is exactly what was authorised, and what the log says.
func TestBypass(t *testing.T) {
	t.Parallel()
	cases := readCases(t, "bypass")
	if len(cases) < 100 {
		t.Errorf("%d cases, want at least 100", len(cases))
	}
	up := newRecorder(t)
	s := run(t, setup{policy: bypassPolicy(up.addr()), access: true, env: []string{"GOMAXPROCS=1"}})
	s.await(t, "serving", msg("serving"))
	p := &player{target: target{name: "sluice", addr: s.web, up: up, exact: true, wait: 5 * time.Second}, probePath: "/public/probe-"}
	began := time.Now()
	passed := map[string]*message{} // by request ID
	var sc score
	for _, c := range cases {
		o := p.play(c)
		f := p.judge(c, o)
		sc.cases++
		sc.grades[f.grade]++
		if f.grade != right {
			t.Errorf("%s, RFC %s: %s: %s", c, c.rfc, f.grade, f.why)
		}
		for _, a := range o.arrivals {
			if a.msg != nil {
				passed[strings.Join(a.msg.get("x-request-id"), "")] = a.msg
				checkNotAdmin(t, c, a.msg)
			}
		}
	}
	t.Logf("%s in %v", sc, time.Since(began).Round(time.Millisecond))
	for id, m := range passed {
		rec := s.await(t, "the record of "+id, func(r record) bool { return r.str("request_id") == id })
		target, _, _ := strings.Cut(m.start[1], "?")
		host, _, _ := strings.Cut(strings.Join(m.get("host"), ""), ":")
		if rec.str("path") != target || rec.str("host") != host || rec.str("method") != m.start[0] {
			t.Errorf("the log says %s %s %s, the upstream got %s %s %s", rec.str("method"), rec.str("host"), rec.str("path"), m.start[0], host, target)
		}
	}
	if len(passed) < 50 {
		t.Errorf("only %d requests came through: the table tests nothing", len(passed))
	}
}

// checkNotAdmin reads what arrived as an ordinary server would: decoded once, dot
// segments removed.
func checkNotAdmin(t *testing.T, c *wireCase, m *message) {
	t.Helper()
	target, _, _ := strings.Cut(m.start[1], "?")
	decoded, err := url.PathUnescape(target)
	if err != nil || strings.ContainsAny(decoded, "\\\x00;") && !strings.Contains(target, "%3B") {
		t.Errorf("%s: the upstream got %q: %v", c, target, err)
	}
	if clean := path.Clean(decoded); strings.HasPrefix(strings.ToLower(clean), "/admin") {
		t.Errorf("%s: the upstream got %q, which means %q", c, target, clean)
	}
	if host := strings.Join(m.get("host"), ""); strings.Contains(strings.ToLower(host), "admin") {
		t.Errorf("%s: the upstream got Host %q", c, host)
	}
}

func bypassPolicy(addr string) string {
	const everybody = "[{allow: {and: [{accept: true}]}}]"
	return fmt.Sprintf(`clusters:
  app: {endpoints: [%q]}
routes:
- {name: admin-host, hosts: [admin.example.com], path: {prefix: /}, cluster: app}
- {name: admin, path: {prefix: /admin}, cluster: app}
- {name: read-only, path: {prefix: /readonly}, methods: [GET, HEAD], cluster: app, policy: %[2]s}
- name: rule
  path: {prefix: /rule}
  cluster: app
  policy: [{allow: {and: [{accept: true}]}, deny: {and: [{http_path: {starts_with: /rule/admin}}]}}]
- {name: public, path: {prefix: /public}, cluster: app, policy: %[2]s}
`, addr, everybody)
}
