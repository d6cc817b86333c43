package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/pages"
	"github.com/sluiceproxy/sluice/authz/session"
)

// ending is how an attempt ends that did not go well.
type ending struct {
	result Result
	status int
	reason string
	title  string
	text   string
	detail string // what the provider says; text, and from elsewhere
	err    error  // for the log
}

// callback takes a person back from the provider (RFC 6749 section 4.1.2).
func (a *Authenticator) callback(ctx context.Context, r *authz.Request, _ []byte) authz.Answer {
	if !r.Secure {
		return insecure(r, true)
	}
	if r.Method != "GET" {
		return wrongMethod("GET")
	}
	q, err := url.ParseQuery(string(r.Query))
	if err != nil {
		q = nil
	}
	at, name := a.attemptOf(r, one(q, "state"))
	if at == nil && name != "" && a.cfg.Keeper.Ring().Refresh() { // another replica sealed it, by a key that we had not read yet
		at, name = a.attemptOf(r, one(q, "state"))
	}
	fields := []authz.Field{}
	if name != "" { // whatever comes of it, it was the only time
		fields = append(fields, authz.Field{Name: "Set-Cookie", Value: forget(name)})
	}
	cookie, end := a.finish(ctx, r, q, at)
	if end == nil {
		a.counts.add(Done)
		return authz.Answer{Status: 303, Reason: reasonDone, Fields: append(fields, noStore, authz.Field{Name: "Location", Value: origin(r) + at.to},
			authz.Field{Name: "Set-Cookie", Value: cookie})}
	}
	return a.sorry(r, at, end, fields)
}

// one returns a parameter that is given once; empty: it is not.
func one(q url.Values, name string) string {
	if len(q[name]) != 1 {
		return ""
	}
	return q[name][0]
}

// attemptOf finds the attempt with a state, and the name of its cookie. That the browser has its cookie shows that this login was
// begun here, and not by somebody who wants it to be logged in as himself (RFC 9700 section 4.7).
func (a *Authenticator) attemptOf(r *authz.Request, state string) (at *attempt, name string) {
	if len(state) < 8 {
		return nil, ""
	}
	for _, f := range attempts(a.cfg.Keeper.Ring(), r) {
		if f.name != cookieName(state) {
			continue
		}
		name = f.name
		if f.at != nil && f.at.provider == a.name && subtle.ConstantTimeCompare([]byte(text(f.at.state[:])), []byte(state)) == 1 {
			at = f.at
		}
	}
	return at, name
}

// finish makes a session of what the provider sent.
func (a *Authenticator) finish(ctx context.Context, r *authz.Request, q url.Values, at *attempt) (cookie string, end *ending) {
	switch {
	case at == nil:
		return "", a.lost(r)
	case a.cfg.Now().Sub(at.began) >= attemptFor:
		return "", &ending{result: Expired, status: 400, reason: reasonExpired, title: "That took too long", text: "Signing in has to be done within ten minutes."}
	}
	m := a.provider.meta.Load()
	secret, ok := a.cfg.Secret.known()
	if m == nil || !ok {
		return "", notNow(errors.New("the provider or the client secret is not known yet"))
	}
	if iss := one(q, "iss"); iss != a.cfg.Issuer && (q.Has("iss") || m.IssParameter) { // RFC 9207 section 2.4
		return "", &ending{result: Untrusted, status: 403, reason: reasonUntrusted, title: "Signing in was refused", text: "The answer is from another provider than the one that you were sent to.",
			err: fmt.Errorf("iss is %.200q", iss)}
	}
	code := one(q, "code")
	if q.Has("error") || code == "" {
		return "", refused(one(q, "error"), one(q, "error_description"), "you were not signed in")
	}
	token, end := a.exchange(ctx, a.client(m, r, secret), code, at)
	if end != nil {
		return "", end
	}
	claims, err := a.verifyID(ctx, token, text(at.nonce[:]))
	switch {
	case errors.Is(err, issuer.ErrUnavailable):
		return "", notNow(err)
	case err != nil:
		return "", &ending{result: Untrusted, status: 403, reason: reasonUntrusted, title: "Signing in was refused",
			text: "The provider's answer is not one that can be believed. If it happens again, tell those who run the site: their log says why.", err: err}
	}
	return a.session(r, claims)
}

// lost says that a callback belongs to no attempt of this browser.
func (a *Authenticator) lost(r *authz.Request) *ending {
	end := &ending{result: Lost, status: 400, reason: reasonLost, title: "This is no sign-in of this browser",
		text: "It was not begun here, or it is over already: it may have been finished in another tab, or cookies are not kept."}
	if _, v := a.Resolve(r); v == authz.Allow {
		end.title = "You are signed in already"
	}
	return end
}

func notNow(err error) *ending {
	return &ending{result: Unavailable, status: 503, reason: reasonUnavailable, title: "Signing in is not possible right now",
		text: "The service that signs people in does not answer completely. Who is signed in stays so; please try again.", err: err}
}

func refused(code, description, otherwise string) *ending {
	if code == "" {
		code = otherwise
	}
	if description != "" {
		code += ": " + description
	}
	return &ending{result: Refused, status: 403, reason: reasonRefused, title: "Signing in was refused", text: "The provider did not sign you in.", detail: code, err: errors.New("the provider refused")}
}

// exchange gets the tokens for a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). Once: a second time would end the first.
func (a *Authenticator) exchange(ctx context.Context, c *oauth2.Config, code string, at *attempt) (*oauth2.Token, *ending) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.provider.client)
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(text(at.verifier[:])))
	if err == nil {
		return token, nil
	}
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) {
		return nil, failed(err)
	}
	// Not err itself: it has the whole answer in it.
	why := fmt.Errorf("the token endpoint answered %d, %.100q", answered.Response.StatusCode, answered.ErrorCode)
	if answered.ErrorCode == "invalid_grant" {
		end := refused(answered.ErrorCode, answered.ErrorDescription, "")
		end.err = why
		return nil, end
	}
	return nil, failed(why)
}

func failed(err error) *ending {
	return &ending{result: Failed, status: 502, reason: reasonFailed, title: "Signing in did not work",
		text: "The service that signs people in did not answer as it should. Please try again; if you are signed in elsewhere, you stay so.", err: err}
}

// session begins the session of whoever the claims are of.
func (a *Authenticator) session(r *authz.Request, claims issuer.Claims) (cookie string, end *ending) {
	unsuitable := func(text string, err error) *ending {
		return &ending{result: Unsuitable, status: 403, reason: reasonUnsuitable, title: "You cannot be signed in", text: text, err: err}
	}
	if err := a.checkFar(claims); err != nil {
		return "", unsuitable("The provider does not send the groups that you are in, because they are too many. Without them nobody can say what is open to you.", err)
	}
	id, err := claims.Identity("oidc", a.cfg.Names)
	switch {
	case errors.Is(err, issuer.ErrUser):
		return "", unsuitable("The provider does not say who you are in the way that this site needs.", fmt.Errorf("claim %q: %w", a.cfg.Names.User, err))
	case err != nil:
		return "", unsuitable("What the provider says of you cannot be read.", err)
	}
	sid, _ := claims["sid"].(string)
	subject, _ := claims["sub"].(string)
	cookie, err = a.cfg.Keeper.Begin(string(r.Host), session.Claims{Provider: a.name, Issuer: a.cfg.Issuer, Subject: subject, Upstream: sid,
		User: id.User, Email: id.Email, Groups: id.Groups, Claims: id.Claims})
	var large *session.TooLarge
	switch {
	case errors.As(err, &large):
		return "", &ending{result: TooLarge, status: 403, reason: reasonTooLarge, title: "What is known of you does not fit",
			text: fmt.Sprintf("The provider sends more of you than a cookie holds: the %s (%d) take most of it. Those who run the site can have it send fewer.", large.What, large.Count), err: err}
	case errors.Is(err, session.ErrRevoked):
		return "", &ending{result: Refused, status: 403, reason: reasonRefused, title: "Signing in was refused", text: "Your session was ended while it began.", err: err}
	case err != nil:
		return "", notNow(err)
	}
	return cookie, nil
}

// sorry is the page of an attempt that did not go well, with a way to begin anew. It begins nothing by itself: that could go on for ever.
func (a *Authenticator) sorry(r *authz.Request, at *attempt, end *ending, fields []authz.Field) authz.Answer {
	a.counts.add(end.result)
	if end.err != nil {
		a.log.Warn("login not finished", "result", string(end.result), "err", end.err)
	}
	to := "/"
	if at != nil {
		to = at.to
	}
	p := pages.Page{Title: end.title, Text: []string{end.text}, Links: []pages.Link{{Text: "Sign in anew", To: a.loginURL(r, to)}, {Text: "Go to the start page", To: "/"}}}
	if end.detail != "" {
		p.Details = []pages.Detail{{Name: "The provider says", Value: end.detail}}
	}
	if end.status == 503 {
		fields = append(fields, authz.Field{Name: "Retry-After", Value: "5"})
	}
	return p.Answer(end.status, end.reason, fields...)
}
