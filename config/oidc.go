package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/authn/jwt"
	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// providers: where people log in.
func (l *loader) providers() {
	secure := func(ln Listener) bool { return ln.TLS.On() }
	if len(l.cfg.Authenticate.OIDC) > 0 && len(l.cfg.TrustedProxies) == 0 && !slices.ContainsFunc(l.cfg.Listeners, secure) {
		l.fault(yaml.Conflict, "authenticate.oidc", "logins need HTTPS: no listener speaks TLS, and no proxy in front is trusted (trusted_proxies) that may")
	}
	first := map[string]int{}
	for i, in := range l.cfg.Authenticate.OIDC {
		at := fmt.Sprintf("authenticate.oidc[%d]", i)
		j, taken := first[in.Name]
		switch err := oidc.CheckName(in.Name); {
		case err != nil:
			l.fault(yaml.BadValue, at+".name", "%v", err)
		case taken:
			l.fault(yaml.DuplicateName, at+".name", "%q is authenticate.oidc[%d] too", in.Name, j)
		default:
			first[in.Name] = i
		}
		if in.Issuer == "" {
			l.fault(yaml.Required, at+".issuer", "is required: the address of the provider")
		} else if err := issuer.CheckURL(in.Issuer); err != nil {
			l.fault(yaml.Unsafe, at+".issuer", "%v", err)
		}
		if in.ClientID == "" {
			l.fault(yaml.Required, at+".client_id", "is required: what the provider calls this proxy")
		}
		for j, alg := range in.Algorithms {
			if !slices.Contains(jwt.Algorithms(), alg) {
				l.fault(yaml.Unsafe, fmt.Sprintf("%s.algorithms[%d]", at, j), "%q is not one of: %s", alg, strings.Join(jwt.Algorithms(), ", "))
			}
		}
		for j, scope := range in.Scopes {
			if scope == "" || strings.ContainsAny(scope, " \t\"\\") {
				l.fault(yaml.BadValue, fmt.Sprintf("%s.scopes[%d]", at, j), "%q is not one scope", scope)
			}
		}
	}
}
