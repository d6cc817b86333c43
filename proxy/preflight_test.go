package proxy

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

// A browser's question goes through where it may, and nothing does that only looks like one.
func TestPreflights(t *testing.T) {
	doc, err := policy.Parse("p.yaml", []byte(`
clusters: {app: {endpoints: ["up:1"]}}
routes:
- name: app
  cluster: app
  authenticate: [test]
  policy: [{allow: {or: [{cors_preflight: true}, {authenticated_user: true}]}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, Config{Authenticators: map[string]authz.Authenticator{"test": knowsNobody{}}})
	w.simple(ok)
	if err := w.core.Apply(context.Background(), "1", doc); err != nil {
		t.Fatal(err)
	}
	if err := w.tracker.Open(); err != nil {
		t.Fatal(err)
	}
	const origin, wanted = "Origin: https://b.test\r\n", "Access-Control-Request-Method: PUT\r\n"
	for head, want := range map[string]string{
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + origin + wanted:                                               "200",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\norigin: null\r\n" + strings.ToLower(wanted):                       "200",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + wanted:                                                        "401",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + origin:                                                        "401",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + origin + "Access-Control-Request-Method:\r\n":                 "401",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + "Origin: \r\n" + wanted:                                       "401",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + origin + origin + wanted:                                      "401",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\n" + origin + wanted + wanted:                                      "401",
		"GET / HTTP/1.1\r\nHost: a\r\n" + origin + wanted:                                                   "401",
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + origin + wanted:                              "401",
		"GET / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method: OPTIONS\r\n" + origin + wanted:                         "400",
		"OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://b.test\r\nAccess_Control_Request_Method: PUT\r\n": "401",
	} {
		d := w.dial("web")
		d.Write([]byte(head + "\r\n"))
		w.until("an answer", d.has("\r\n\r\n"))
		if got := d.got; !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%q: %q, want %s", head, got, want)
		}
	}

	q := Question{Method: "OPTIONS", Host: "a", Path: "/", Source: netip.MustParseAddr("10.1.1.1"), Time: w.net.Now(), Preflight: true}
	if j := w.core.Judge(&q); !j.Allowed() {
		t.Errorf("judged otherwise: %+v", j)
	}
	q.Method = "GET"
	if j := w.core.Judge(&q); j.Allowed() {
		t.Error("a GET is judged as a preflight")
	}
}
