package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

const triedPolicy = `clusters: {app: {endpoints: ["127.0.0.1:9"]}}
routes:
- {name: app, hosts: [app.test], cluster: app, authenticate: [api_key],
   policy: [{allow: {and: [{groups: {has: engineers}}, {time_of_day: {after: "08:00", before: "18:00"}}]}}, {deny: {or: [{user: u-666}]}}]}
- {name: free, hosts: [free.test], cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: asked, hosts: [asked.test], cluster: app, policy: [{allow: {and: [{cors_preflight: true}]}}]}
tcp_routes: [{listener: db, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}]
`

const triedCases = `policy: policy.yaml
cases:
- {name: by day, expect: allow, route: app, rule: 0, request: {host: App.test, path: //x/./y, time: 2026-11-27T12:00:00Z}, identity: {user: u-1, groups: [engineers]}}
- {name: by night, expect: deny, reason: time-of-day-unauthorized, request: {host: app.test, time: 2026-11-27T22:00:00Z}, identity: {user: u-1, groups: [engineers]}}
- {name: the banned, expect: deny, reason: user-unauthorized, rule: 1, request: {host: app.test, time: 2026-11-27T12:00:00Z}, identity: {user: u-666, groups: [engineers]}}
- {name: nobody, expect: challenge, request: {host: app.test, time: 2026-11-27T12:00:00Z}}
- {name: tricks, expect: refuse, reason: path, request: {host: app.test, path: "/%2e%2e/x"}}
- {name: elsewhere, expect: refuse, reason: no_route, request: {host: other.test}}
- {name: a question, expect: allow, request: {host: asked.test, preflight: true}}
- {name: no question, expect: deny, reason: cors-preflight-unauthorized, request: {host: asked.test, method: OPTIONS}}
- {name: inside, expect: allow, request: {listener: db, source_ip: 10.1.1.1}}
- {name: outside, expect: deny, request: {listener: db, source_ip: 192.168.1.1}}
`

// TestPolicyTools: what a policy says of requests that nobody sent.
func TestPolicyTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, cases, other := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "cases.yaml"), filepath.Join(dir, "other.yaml")
	wrong, empty := filepath.Join(dir, "wrong.yaml"), filepath.Join(dir, "empty.yaml")
	write(t, policy, triedPolicy)
	write(t, cases, triedCases)
	write(t, other, strings.Replace(triedPolicy, "user: u-666", "user: u-1", 1))
	write(t, wrong, "policy: policy.yaml\ncases:\n- {name: the banned may, expect: allow, request: {host: app.test, time: 2026-11-27T12:00:00Z}, identity: {user: u-666, groups: [engineers]}}\n"+
		"- {name: another route, expect: allow, route: app, reason: no-policy, request: {host: free.test}}\n")
	write(t, empty, "policy: policy.yaml\ncases: [{name: nothing}]\n")
	ask := []string{"policy", "explain", "--policy", policy, "--host", "app.test", "--time", "2026-11-27T12:00:00Z"}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"as expected", []string{"policy", "test", cases}, 0, []string{"10 of 10 cases as expected", "no case came to: free"}},
		{"not as expected", []string{"policy", "test", wrong}, 1, []string{"wrong.yaml:3:3: the banned may", "expected allow, got deny (403) user-unauthorized by route app, rule 1",
			"to be allowed: user: {is: u-666} must not be met", "expected reason no-policy, got ok", "expected route app, got \"free\"", "0 of 2"}},
		{"as JSON", []string{"policy", "test", "--json", wrong}, 1, []string{`"failed": 2`, `"nearest": [`}},
		{"of another policy", []string{"policy", "test", "--policy", other, cases}, 1, []string{"by day", "7 of 10"}},
		{"what expects nothing", []string{"policy", "test", empty}, 2, []string{"empty.yaml:2:9", "expects nothing"}},
		{"of no policy", []string{"policy", "test", "--policy", filepath.Join(dir, "none"), cases}, 2, []string{"none"}},
		{"what changes", []string{"policy", "diff", policy, other, cases}, 1, []string{"by day\n  - allow by route app, rule 0\n  + deny (403) user-unauthorized by route app, rule 1", "the banned", "of 10 decisions change"}},
		{"what does not", []string{"policy", "diff", policy, policy, cases}, 0, []string{"0 of 10 decisions change"}},
		{"explained", append(ask, "--user", "u-1", "--groups", "ops"), 1, []string{"deny (403) groups-unauthorized by route app", "groups: {has: engineers}", "not met   ([ops])", "nearest: rule 0 would allow it; for that\n    groups: {has: engineers} must be met"}},
		{"explained, allowed", append(ask, "--user", "u-1", "--groups", "ops,engineers"), 0, []string{"allow by route app, rule 0", "met   (Fri 2026-11-27 12:00:00 UTC)"}},
		{"explained, anonymous", ask, 1, []string{"challenge (401) user-unauthenticated by route app", "unknown   (nobody is known)"}},
		{"explained, TCP", []string{"policy", "explain", "--policy", policy, "--listener", "db", "--source-ip", "10.1.1.1"}, 0, []string{"allow by route db"}},
		{"explained, no route", []string{"policy", "explain", "--policy", policy, "--host", "x.test"}, 1, []string{"refuse (404) no_route"}},
		{"explained, a preflight", []string{"policy", "explain", "--policy", policy, "--host", "asked.test", "--preflight"}, 0, []string{"allow by route asked", "met   (a preflight)"}},
		{"a preflight by GET", []string{"policy", "explain", "--policy", policy, "--host", "asked.test", "--preflight", "--method", "GET"}, 2, []string{"--preflight"}},
		{"groups of nobody", append(ask, "--groups", "a"), 2, []string{"--user"}},
		{"no such time", []string{"policy", "explain", "--policy", policy, "--time", "noon"}, 2, []string{"--time"}},
	} {
		out, code := command(t, c.args...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", c.name, code, c.code, out)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing in\n%s", c.name, want, out)
			}
		}
	}
	out, _ := command(t, append(ask, "--json", "--user", "u-1", "--path", "/a//b")...)
	var got struct {
		Verdict struct{ Outcome, Reason, Route string }
		Path    string
		Rules   []struct {
			Allow, Deny []struct{ Text, Outcome string }
		}
		Nearest struct{ Changes []string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Verdict.Route != "app" || got.Path != "/a/b" || len(got.Rules) != 2 || len(got.Nearest.Changes) != 1 {
		t.Errorf("%v: %+v\n%s", err, got, out)
	}
}
