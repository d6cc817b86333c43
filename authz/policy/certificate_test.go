package policy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
)

func TestClientCertificateCriterion(t *testing.T) {
	digest, key := strings.Repeat("ab", 32), "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="
	colons := strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	shown := &authz.ClientCertificate{Fingerprint: digest, SPKIHash: key,
		URIs: []string{"spiffe://prod/ns/a", "spiffe://prod/ns/b"}, DNSNames: []string{"a.test"}, Emails: []string{"Ann@Example.com"}}
	for criterion, want := range map[string]string{
		"client_certificate: true":                                                                         "ok",
		"client_certificate: {fingerprint: " + digest + "}":                                                "ok",
		"client_certificate: {fingerprint: '" + colons + "'}":                                              "ok",
		"client_certificate: {fingerprint: [" + digest + "]}":                                              "ok",
		"client_certificate: {fingerprint: " + strings.Repeat("cd", 32) + "}":                              "no",
		"client_certificate: {spki_hash: " + key + "}":                                                     "ok",
		"client_certificate: {spki_hash: AAAAASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=}":                    "no",
		"client_certificate: {uri: spiffe://prod/ns/b}":                                                    "ok",
		"client_certificate: {uri: {starts_with: spiffe://prod/}}":                                         "ok",
		"client_certificate: {uri: {starts_with: spiffe://test/}}":                                         "no",
		"client_certificate: {uri: {not: spiffe://prod/ns/b}}":                                             "no",
		"client_certificate: {uri: {not_in: [spiffe://prod/ns/c]}}":                                        "ok",
		"client_certificate: {dns: A.test}":                                                                "ok",
		"client_certificate: {dns: b.test}":                                                                "no",
		"client_certificate: {email: ann@example.com}":                                                     "ok",
		"client_certificate: {email: {ends_with: '@example.org'}}":                                         "no",
		"client_certificate: {dns: a.test, fingerprint: " + digest + "}":                                   "ok",
		"client_certificate: {dns: a.test, fingerprint: " + strings.Repeat("cd", 32) + "}":                 "no",
		"not: [{client_certificate: {dns: b.test}}]":                                                       "ok",
		"or: [{client_certificate: {dns: b.test}}, {client_certificate: {uri: {ends_with: /ns/a}}}]":       "ok",
		"and: [{client_certificate: {dns: a.test}}, {client_certificate: {email: {starts_with: x@}}}]":     "no",
		"client_certificate: {uri: {in: [a, b, c, d, e, f, g, h, i, spiffe://prod/ns/a]}}":                 "ok",
		"client_certificate: {email: {in: [a@x, b@x, c@x, d@x, e@x, f@x, g@x, h@x, ANN@EXAMPLE.com]}}":     "ok",
		"client_certificate: {uri: {in: [a, b, c, d, e, f, g, h, i, spiffe://prod/ns/A]}}":                 "no",
		"client_certificate: {email: {not_in: [a@x, b@x, c@x, d@x, e@x, f@x, g@x, h@x, ann@example.com]}}": "no",
	} {
		p := CompileRules(rules(t, "{allow: {and: [{"+criterion+"}]}}"))
		req := request()
		req.Certificate = shown
		d, got := p.Authorize(nil, req), "no"
		if d.Verdict == authz.Allow {
			got = "ok"
		} else if d.Verdict != authz.Deny || d.Reason != ReasonCertificate && d.Reason != ReasonNoRule {
			got = "wrong: " + d.Verdict.String() + " " + d.Reason
		}
		if got != want {
			t.Errorf("%s: %s, want %s", criterion, got, want)
		}
		// Without one nobody is let in, under a negation neither.
		if d := p.Authorize(alice, request()); d.Verdict != authz.Challenge {
			t.Errorf("%s: without a certificate: %v", criterion, d.Verdict)
		}
	}
}

func TestClientCertificateAllocatesNothing(t *testing.T) {
	p := CompileRules(rules(t, "{allow: {and: [{client_certificate: {dns: A.test, email: {ends_with: '@example.com'}, uri: {in: [x, y]}}}]}}"))
	req := request()
	req.Certificate = &authz.ClientCertificate{URIs: []string{"y"}, DNSNames: []string{"a.test"}, Emails: []string{"Ann@Example.com"}}
	if d := p.Authorize(nil, req); d.Verdict != authz.Allow {
		t.Fatalf("%+v", d)
	}
	if n := testing.AllocsPerRun(100, func() { p.Authorize(nil, req) }); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}

// Without any way to know who it is, a rule about certificates is still one that can be met.
func TestClientCertificateNeedsNoAuthenticator(t *testing.T) {
	src := "clusters: {c: {endpoints: ['h:1']}}\nroutes: [{name: r, cluster: c, policy: {allow: {and: [{client_certificate: true}]}}}]\n" +
		"tcp_routes: [{listener: l, cluster: c, policy: {allow: {and: [{client_certificate: {dns: a.test}}]}}}]\n"
	doc, err := Parse("p.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	req := &authz.Request{Certificate: &authz.ClientCertificate{DNSNames: []string{"a.test"}}}
	if d := Compile(doc).TCP[0].Authorize(nil, req); d.Verdict != authz.Allow {
		t.Errorf("over TCP: %+v", d)
	}
}
