package proxy

import (
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
)

// somebody is an authenticator that takes everybody for one identity, or nobody for any.
type somebody struct{ id *authz.Identity }

func (somebody) Name() string            { return "somebody" }
func (somebody) ChallengeHeader() string { return "Bearer" }
func (s somebody) Try(*authz.Request) (*authz.Identity, authz.Verdict) {
	if s.id == nil {
		return nil, authz.Deny
	}
	return s.id, authz.Allow
}
func (s somebody) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) { return s.Try(r) }

// A name that holds a comma, or space that a server trims, is no way into another group.
func TestGroupsAreElementsOfAList(t *testing.T) {
	for _, c := range []struct {
		groups []string
		want   string
	}{
		{[]string{"a", "b"}, "a,b"},
		{[]string{"a,admins", "b"}, "b"},
		{[]string{" admins", "admins ", "\u00a0admins", "admins\u0085", "\tadmins", "a\r\nb", "", "x y"}, "x y"},
		{[]string{"cn=a,ou=b"}, ""},
		{nil, ""},
	} {
		w := newWalk(t, Config{})
		w.simple(ok)
		w.open()
		w.core.gate.Load().routes[0].chain = &chain{Authenticators: []authz.Authenticator{somebody{&authz.Identity{User: "u", Groups: c.groups}}}, hidesCredentials: true}
		d := w.dial("web")
		d.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until("an answer", d.has("200"))
		_, got, given := strings.Cut(w.upReqs[0], "\r\nX-Sluice-Groups: ")
		got, _, _ = strings.Cut(got, "\r\n")
		if got != c.want || given != (c.want != "") {
			t.Errorf("%q: %q, want %q", c.groups, got, c.want)
		}
	}
}

// Who shows a bearer token that none of the route's authenticators takes is not taken for somebody
// who shows none. Other schemes may be for the upstream.
func TestBearerThatNobodyTakes(t *testing.T) {
	for value, want := range map[string]string{
		"Bearer opaque":                      "401",
		"bearer eyJa.b":                      "401",
		"BEARER":                             "401",
		" Bearer\teyJa.b.c":                  "401",
		"Basic dTpw":                         "200",
		"BearerX opaque":                     "200",
		"":                                   "200",
		"Basic x\r\nAuthorization: Bearer y": "401",
	} {
		w := newWalk(t, Config{})
		w.simple(ok)
		w.open()
		r := &w.core.gate.Load().routes[0]
		r.chain = &chain{Authenticators: []authz.Authenticator{somebody{}}, hidesCredentials: true}
		d := w.dial("web")
		d.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: " + value + "\r\n\r\n"))
		w.until("an answer", d.has("\r\n\r\n"))
		if !strings.HasPrefix(d.got, "HTTP/1.1 "+want) {
			t.Errorf("%q: %.40q, want %s", value, d.got, want)
		}
	}
}
