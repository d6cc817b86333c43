package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

const judgedPolicy = `
clusters: {app: {endpoints: ["up:1"]}}
routes:
- {name: root, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}
- {name: a, hosts: [a.test, "*.a.test"], path: {prefix: /a}, path_parameters: true, cluster: app, policy: [{allow: {and: [{http_path: {not: /a/no}}]}}]}
- {name: get, path: {prefix: /get}, methods: [GET], cluster: app, policy: [{allow: {and: [{http_method: GET}]}}]}
- {name: known, path: {exact: /known}, cluster: app, authenticate: [test], policy: [{allow: {and: [{user: u}]}}]}
- {name: closed, path: {prefix: /closed}, cluster: app}
- {name: far, path: {prefix: /far}, cluster: app, policy: [{allow: {and: [{source_ip: 192.168.0.0/16}]}}]}
tcp_routes:
- {listener: db, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}
`

// knowsNobody finds no credential.
type knowsNobody struct{}

func (knowsNobody) Name() string                                        { return "test" }
func (knowsNobody) Try(*authz.Request) (*authz.Identity, authz.Verdict) { return nil, authz.Deny }
func (knowsNobody) Resolve(*authz.Request) (id *authz.Identity, v authz.Verdict) {
	return nil, authz.Deny
}
func (knowsNobody) ChallengeHeader() string { return "Test" }

// What a judgement says is what becomes of the same request on the wire.
func TestJudgementsAreWhatHappens(t *testing.T) {
	doc, err := policy.Parse("p.yaml", []byte(judgedPolicy))
	if err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, Config{Authenticators: map[string]authz.Authenticator{"test": knowsNobody{}}})
	w.simple(ok)
	q := Question{Method: "GET", Host: "a.test", Path: "/", Source: netip.MustParseAddr("10.1.1.1"), Time: w.net.Now()}
	if j := w.core.Judge(&q); j.Status != 503 || j.Reason != "policy_unsynced" || j.Allowed() {
		t.Errorf("without a policy: %+v", j)
	}
	if err := w.core.Apply(context.Background(), "1", doc); err != nil {
		t.Fatal(err)
	}
	if err := w.tracker.Open(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, method := range []string{"GET", "POST", "get", "TRACE", "CONNECT", "PURGE", "P(T"} {
		for _, host := range []string{"a.test", "X.A.test.:80", "b.test", "a..b", "a b", "[::1]", "a.test:", "a.test:0x1", "u@a.test"} {
			for _, path := range []string{"/", "/a", "/a/no", "/a/./no", "/a;x/y", "/a;x/../no", "/known", "/known/x", "/closed", "/get", "/get;x", "/far", "/a%2fb", "/a%00", "/%61/no", "/../x", "//get", "/a#no", "/a/\xff", "a", "*"} {
				q.Method, q.Host, q.Path = method, host, path
				c := w.dial("web")
				fmt.Fprintf(writer{c.Sock}, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, host)
				w.until("the end", func() bool { return c.eof })
				j := w.core.Judge(&q)
				want := fmt.Sprintf("HTTP/1.1 %d ", j.Status)
				if j.Allowed() {
					want = "HTTP/1.1 200 "
				}
				reason := "\r\nX-Sluice-Reason: " + j.Reason + "\r\n"
				if method == "CONNECT" || method == "P(T" || strings.Contains(host, " ") { // refused as a message, before anybody asks where to
					if j.Allowed() || strings.Contains(c.got, " 200 ") {
						t.Errorf("%s %s of %q: judged %+v, the client got %q", method, path, host, j, c.got)
					}
					continue
				}
				if !strings.HasPrefix(c.got, want) || !j.Allowed() && !strings.Contains(c.got, reason) {
					t.Errorf("%s %s of %q: judged %+v, the client got %q", method, path, host, j, c.got)
				}
				seen[j.Reason] = true
			}
		}
	}
	for _, r := range []string{"ok", "trace", "method_case", "host_invalid", "path", "method", "http-path-unauthorized", "user-unauthenticated", "no-policy", "source-ip-unauthorized"} {
		if !seen[r] {
			t.Errorf("no request was judged %s", r)
		}
	}
}

func TestJudgementsOfTCP(t *testing.T) {
	doc, err := policy.Parse("p.yaml", []byte(judgedPolicy))
	if err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, Config{})
	doc.Routes = nil
	if err := w.core.Apply(context.Background(), "1", doc); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{"10.1.1.1": true, "::ffff:10.1.1.1": true, "192.168.1.1": false} {
		j := w.core.Judge(&Question{Listener: "db", Source: netip.MustParseAddr(from)})
		if j.Allowed() != want || j.Status != 0 || j.Route != "db" {
			t.Errorf("from %s: %+v", from, j)
		}
	}
	if j := w.core.Judge(&Question{Listener: "none"}); j.Allowed() || j.Reason != "no_route" {
		t.Errorf("of another listener: %+v", j)
	}
}
