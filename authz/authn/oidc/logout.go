package oidc

import (
	"context"
	"net/url"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/pages"
	"github.com/sluiceproxy/sluice/authz/session"
)

// logout ends the session of whoever asks, and sends them to the provider to end its own (OpenID Connect RP-Initiated Logout 1.0).
// There is no id_token_hint, since tokens are not kept: a provider may ask whether it is meant.
func (a *Authenticator) logout(ctx context.Context, r *authz.Request, _ []byte) authz.Answer {
	if !r.Secure {
		return insecure(r, true)
	}
	id, v := a.Resolve(r)
	switch r.Method {
	case "GET", "HEAD":
		p := pages.Page{Title: "Sign out?", Button: pages.Button{Text: "Sign out", To: pathLogout + a.suffix, Elsewhere: true}, Links: []pages.Link{{Text: "Stay, and go to the start page", To: "/"}}}
		if v == authz.Allow {
			p.Details = []pages.Detail{{Name: "Signed in as", Value: id.User}}
		}
		return p.Answer(200, reasonLogout)
	case "POST":
	default:
		return wrongMethod("GET, POST")
	}
	if !sameOrigin(r) {
		return pages.Page{Title: "That came from another site", Text: []string{"Nobody but you can sign you out here."},
			Links: []pages.Link{{Text: "Sign out here", To: pathLogout + a.suffix}}}.Answer(403, reasonForeign)
	}
	if v == authz.Allow {
		if err := a.cfg.Keeper.Revoke(ctx, session.Revocation{Kind: session.SID, Value: id.Session.ID}); err != nil {
			a.log.Warn("logout not everywhere yet", "err", err) // it counts here, and is tried again
		}
	}
	return authz.Answer{Status: 303, Reason: reasonLogout, Fields: []authz.Field{{Name: "Location", Value: a.afterLogout(r)}, noStore,
		{Name: "Set-Cookie", Value: a.cfg.Keeper.Clear(a.name)}}}
}

// afterLogout is where a person goes who has logged out here: to the provider, and from there to our page, or to that at once.
func (a *Authenticator) afterLogout(r *authz.Request) string {
	here := origin(r) + pathSignedOut
	m := a.provider.meta.Load()
	if m == nil || m.EndSession == "" {
		return here
	}
	u, err := url.Parse(m.EndSession)
	if err != nil {
		return here // not possible: it was checked
	}
	q := u.Query()
	q.Set("client_id", a.cfg.ClientID)
	q.Set("post_logout_redirect_uri", here)
	u.RawQuery = q.Encode()
	return u.String()
}

// sameOrigin reports whether a browser says that a page of ours sent a request (Fetch Metadata; RFC 6454 section 7). One that says
// nothing does not.
func sameOrigin(r *authz.Request) bool {
	if r.Fields == nil {
		return false
	}
	if site, n := r.Fields.Field("sec-fetch-site"); n > 0 {
		return n == 1 && string(site) == "same-origin"
	}
	from, n := r.Fields.Field("origin")
	return n == 1 && strings.EqualFold(string(from), origin(r))
}
