package authn

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
)

func TestClientCertificates(t *testing.T) {
	one := func() *authz.ClientCertificate {
		return &authz.ClientCertificate{Fingerprint: "f1", URIs: []string{"spiffe://prod/a"}, DNSNames: []string{"a.test"}, Emails: []string{"a@b.test"}}
	}
	several := &authz.ClientCertificate{Fingerprint: "f2", URIs: []string{"u:1", "u:2"}, DNSNames: []string{"a", "b"}, Emails: []string{"a@b", "c@d"}}
	crafted := &authz.ClientCertificate{URIs: []string{"a b"}, DNSNames: []string{"a\r\nX-Sluice-Groups: admins"}, Emails: []string{"a@b,c@d"}}
	long := &authz.ClientCertificate{DNSNames: []string{strings.Repeat("a", maxUser+1)}}
	for _, tt := range []struct {
		from    string
		cert    *authz.ClientCertificate
		verdict authz.Verdict
		user    string
	}{
		{"uri", nil, authz.Deny, ""},
		{"fingerprint", nil, authz.Deny, ""},
		{"uri", one(), authz.Allow, "spiffe://prod/a"},
		{"dns", one(), authz.Allow, "a.test"},
		{"email", one(), authz.Allow, "a@b.test"},
		{"fingerprint", one(), authz.Allow, "f1"},
		{"uri", several, authz.Challenge, ""},
		{"dns", several, authz.Challenge, ""},
		{"email", several, authz.Challenge, ""},
		{"fingerprint", &authz.ClientCertificate{Fingerprint: "f3"}, authz.Allow, "f3"},
		{"uri", &authz.ClientCertificate{}, authz.Challenge, ""},
		{"uri", crafted, authz.Challenge, ""},
		{"dns", crafted, authz.Challenge, ""},
		{"email", crafted, authz.Challenge, ""},
		{"dns", long, authz.Challenge, ""},
	} {
		from, err := ParseUserFrom(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		a := NewClientCertificates(from)
		req := &authz.Request{Certificate: tt.cert}
		id, v := a.Try(req)
		if v != tt.verdict || (id != nil) != (v == authz.Allow) {
			t.Errorf("%s of %+v: %v, %v", tt.from, tt.cert, id, v)
			continue
		}
		if id != nil && (id.User != tt.user || id.Method != "client_certificate") {
			t.Errorf("%s: %+v", tt.from, id)
		}
		if again, v2 := a.Resolve(req); again != id || v2 != v {
			t.Errorf("%s: another answer the second time", tt.from)
		}
	}
	if _, err := ParseUserFrom("subject"); err == nil {
		t.Error("a subject is no name")
	}
	if id, _ := NewClientCertificates(FromDNS).Try(&authz.Request{Certificate: one()}); id.Email != "a@b.test" {
		t.Errorf("email %q", id.Email)
	}
}

func TestClientCertificatesAllocateOncePerConnection(t *testing.T) {
	a := NewClientCertificates(FromURI)
	req := &authz.Request{Certificate: &authz.ClientCertificate{URIs: []string{"spiffe://prod/a"}}}
	a.Try(req)
	if n := testing.AllocsPerRun(100, func() { a.Try(req) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
