package oidc

import (
	"bytes"
	"encoding/json"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/pages"
)

var noStore = authz.Field{Name: "Cache-Control", Value: "no-store"}

// Greet sends a person to the provider, and tells everybody else where to log in.
func (a *Authenticator) Greet(r *authz.Request) *authz.Answer {
	var answer authz.Answer
	switch navigates := r.Navigates(); {
	case !r.Secure:
		answer = insecure(r, navigates)
	case navigates:
		answer = a.begin(r, backTo(r))
	default:
		answer = a.require(r)
	}
	return &answer
}

// begin sends a person to the provider.
func (a *Authenticator) begin(r *authz.Request, to string) authz.Answer {
	m := a.provider.meta.Load()
	if m == nil {
		return a.unavailable(a.loginURL(r, to))
	}
	ring, now := a.cfg.Keeper.Ring(), a.cfg.Now()
	at := newAttempt(a.name, to, now)
	cookie, err := at.setCookie(ring, string(r.Host))
	if err != nil {
		return a.unavailable(a.loginURL(r, to))
	}
	where := a.client(m, r, "").AuthCodeURL(text(at.state[:]), oauth2.S256ChallengeOption(text(at.verifier[:])), oidc.Nonce(text(at.nonce[:])))
	answer := authz.Answer{Status: 302, Reason: reasonLogin, Fields: []authz.Field{{Name: "Location", Value: where}, noStore, {Name: "Set-Cookie", Value: cookie}}}
	for _, name := range superfluous(attempts(ring, r), len(cookie), now) {
		answer.Fields = append(answer.Fields, authz.Field{Name: "Set-Cookie", Value: forget(name)})
	}
	a.counts.add(Started)
	return answer
}

// client is what we are to the provider, as asked for on a host.
func (a *Authenticator) client(m *metadata, r *authz.Request, secret string) *oauth2.Config {
	return &oauth2.Config{ClientID: a.cfg.ClientID, ClientSecret: secret, Scopes: a.cfg.Scopes, RedirectURL: origin(r) + pathCallback + a.suffix,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: m.authStyle(a.cfg.Secret != nil)}}
}

// authStyle is how the token endpoint wants to be shown the secret (Discovery section 3). It is never tried out: a code is good once.
func (m *metadata) authStyle(secret bool) oauth2.AuthStyle {
	basic, post := len(m.TokenAuth) == 0, false
	for _, method := range m.TokenAuth {
		basic, post = basic || method == "client_secret_basic", post || method == "client_secret_post"
	}
	if !secret || post && !basic {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// require tells a script, a form or a tool where to log in: a redirect would lead it astray.
func (a *Authenticator) require(r *authz.Request) authz.Answer {
	where := a.loginURL(r, backToPage(r))
	fields := []authz.Field{{Name: "WWW-Authenticate", Value: a.ChallengeHeader()}, {Name: "X-Sluice-Login", Value: where}}
	switch {
	case accepts(r, "json"):
		body, _ := json.Marshal(map[string]string{"error": reasonRequired, "login": where}) // strings only: cannot fail
		return authz.Answer{Status: 401, Reason: reasonRequired, Body: body, Fields: append(fields, noStore, authz.Field{Name: "Content-Type", Value: "application/json"})}
	case accepts(r, "text/html"): // a form
		return pages.Page{Title: "Please sign in", Text: []string{"You are not signed in, or not any more. What you sent was not taken; send it again when you are back."},
			Links: []pages.Link{{Text: "Sign in", To: where}}}.Answer(401, reasonRequired, fields...)
	}
	return authz.Answer{Status: 401, Reason: reasonRequired, Fields: append(fields, noStore, authz.Field{Name: "Content-Type", Value: "text/plain; charset=utf-8"}),
		Body: []byte("401 " + reasonRequired + ": sign in at " + where + "\n")}
}

// accepts reports whether a request names a type, or a part of one, among what it accepts.
func accepts(r *authz.Request, what string) bool {
	if r.Fields == nil {
		return false
	}
	v, n := r.Fields.Field("accept")
	return n == 1 && bytes.Contains(bytes.ToLower(v), []byte(what))
}

// insecure says that cookies of ours go over TLS only.
func insecure(r *authz.Request, navigates bool) authz.Answer {
	const why = "Signing in needs HTTPS: without it anybody on the way could take your session."
	if !navigates {
		return authz.Answer{Status: 403, Reason: reasonInsecure, Fields: []authz.Field{noStore, {Name: "Content-Type", Value: "text/plain; charset=utf-8"}}, Body: []byte("403 " + reasonInsecure + ": " + why + "\n")}
	}
	p := pages.Page{Title: "This needs HTTPS", Text: []string{why}}
	if !bytes.ContainsRune(r.Authority, ':') {
		p.Links = []pages.Link{{Text: "Go on by HTTPS", To: origin(r) + backTo(r)}}
	}
	return p.Answer(403, reasonInsecure)
}

// unavailable says that nobody can log in now.
func (a *Authenticator) unavailable(again string) authz.Answer {
	a.counts.add(Unavailable)
	return pages.Page{Title: "Signing in is not possible right now",
		Text:  []string{"The service that signs people in was not reached yet. It is tried again by itself; who is signed in stays so."},
		Links: []pages.Link{{Text: "Try again", To: again}}}.Answer(503, reasonUnavailable, authz.Field{Name: "Retry-After", Value: "5"})
}
