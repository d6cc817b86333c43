package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// vouch asserts what it was asked about.
type vouch struct{ silent bool }

func (v vouch) Assert(id *authz.Identity, host []byte, _ time.Time) string {
	if v.silent {
		return ""
	}
	return id.User + "@" + string(host)
}

// What upstreams verify comes from us alone: nobody else writes the field, in any spelling, as a field or a trailer.
func TestAssertionIsOurs(t *testing.T) {
	const forged = "X-Pomerium-Jwt-Assertion: forged\r\nx_pomerium_jwt_assertion: forged\r\nX-Pomerium.JWT-assertion: forged\r\nX-Sluice-Jwt-Assertion: forged\r\nx-sluice_jwt-assertion: forged\r\n"
	for name, c := range map[string]struct {
		id   *authz.Identity
		v    vouch
		want int
	}{
		"somebody":               {&authz.Identity{User: "ann"}, vouch{}, 2},
		"anonymous":              {nil, vouch{}, 0},
		"nothing to be asserted": {&authz.Identity{User: "ann"}, vouch{silent: true}, 0},
	} {
		w := newWalk(t, Config{Asserter: c.v, AssertionFields: []string{"X-Sluice-Jwt-Assertion", "X-Pomerium-Jwt-Assertion"}})
		w.simple(ok)
		w.open()
		w.core.gate.Load().routes[0].chain = &chain{Authenticators: []authz.Authenticator{somebody{c.id}}}
		d := w.dial("web")
		d.Write([]byte("POST / HTTP/1.1\r\nHost: App.test:8080\r\n" + forged + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + forged + "\r\n"))
		w.until("an answer", d.has("200"))
		got := w.upReqs[0]
		if strings.Contains(got, "forged") || strings.Count(strings.ToLower(got), "assertion") != c.want || strings.Count(got, "-Jwt-Assertion: ann@app.test\r\n") != c.want {
			t.Errorf("%s: the upstream got %q", name, got)
		}
	}
}
