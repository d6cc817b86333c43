package casebook

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	b, err := Read("tests.yaml", []byte(`
policy: ../policy
cases:
- name: all of it
  request: {method: POST, host: a.test, path: /x, query: q=1, source_ip: "::1", time: 2026-11-27T17:30:00Z}
  identity: {user: u-1, email: a@b, groups: [g], claims: {amr: mfa, a/b: [x, y]}}
  certificate: {fingerprint: ab, spki_hash: c, uri: [u], dns: [d], email: [e]}
  expect: deny
  reason: groups-unauthorized
  route: r
  rule: 0
- name: nothing of it
- {name: tcp, request: {listener: db}, expect: allow}
- {name: a question of CORS, request: {preflight: true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	zero, local := 0, netip.MustParseAddr("127.0.0.1")
	want := &Book{Policy: "../policy", Cases: []Case{
		{Name: "all of it", Expect: Deny, Reason: "groups-unauthorized", Route: "r", Rule: &zero, Place: "tests.yaml:4:3",
			Request:     Request{Method: "POST", Host: "a.test", Path: "/x", Query: "q=1", SourceIP: netip.MustParseAddr("::1"), Time: time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC)},
			Identity:    &Identity{User: "u-1", Email: "a@b", Groups: []string{"g"}, Claims: claims{"amr": {"mfa"}, "a/b": {"x", "y"}}},
			Certificate: &Certificate{Fingerprint: "ab", SPKIHash: "c", URIs: []string{"u"}, DNSNames: []string{"d"}, Emails: []string{"e"}}},
		{Name: "nothing of it", Place: "tests.yaml:12:3", Request: Request{Method: "GET", Path: "/", SourceIP: local}},
		{Name: "tcp", Place: "tests.yaml:13:3", Expect: Allow, Request: Request{Listener: "db", Method: "GET", Path: "/", SourceIP: local}},
		{Name: "a question of CORS", Place: "tests.yaml:14:3", Request: Request{Preflight: true, Method: "OPTIONS", Path: "/", SourceIP: local}},
	}}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got  %+v\nwant %+v", b, want)
	}
	if id := b.Cases[0].Identity.Authz(); id.User != "u-1" || len(id.Claims["a/b"]) != 2 || b.Cases[1].Identity.Authz() != nil {
		t.Errorf("identity %+v", id)
	}
	if c := b.Cases[0].Certificate.Authz(); c.Fingerprint != "ab" || c.DNSNames[0] != "d" || b.Cases[1].Certificate.Authz() != nil {
		t.Errorf("certificate %+v", c)
	}
}

func TestFaults(t *testing.T) {
	for src, want := range map[string]string{
		"policy: x":                                                   `"cases" is required`,
		"cases: [{expect: allow}]":                                    `"name" is required`,
		"cases: [{name: a, expect: allowed}]":                         `is not one of: allow, deny, challenge, refuse`,
		"cases: [{name: a, request: {hosts: b}}]":                     `did you mean "host"?`,
		"cases: [{name: a, request: {source_ip: x}}]":                 "unable to parse IP",
		"cases: [{name: a, request: {method: GET, preflight: true}}]": "a preflight has method OPTIONS",
		"cases: [{name: a, request: {time: noon}}]":                   `"noon" is not a time`,
		"cases: [{name: a, identity: {}}]":                            `"user" is required`,
		"cases: [{name: a, identity: {user: b, claims: {c: [1]}}}]":   "number 1 where a string is expected",
		"cases: [{name: a, rule: x}]":                                 "where a number is expected",
		"cases: [{name: a, '-': x}]":                                  `unknown key "-"`,
	} {
		if _, err := Read("t.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
	many := "cases:\n" + strings.Repeat("- {name: a}\n", MaxCases+1)
	if _, err := Read("t.yaml", []byte(many)); err == nil {
		t.Error("more cases than there may be")
	}
}
