package oidc

import (
	"context"
	"net/url"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/pages"
)

// The paths of a provider, with /NAME behind them if it has a name.
const (
	pathCallback    = "/.sluice/callback"
	pathLogin       = "/.sluice/login"
	pathLogout      = "/.sluice/logout"
	pathBackchannel = "/.sluice/backchannel-logout"
	pathSignedOut   = "/.sluice/signed-out"
)

// Site is the pages of logins on every host. Safe for concurrent use.
type Site struct {
	pages map[string]func(context.Context, *authz.Request, []byte) authz.Answer
	all   []*Authenticator
}

var _ authz.Site = (*Site)(nil)

// NewSite returns the pages of those providers. No two have the same name.
func NewSite(all ...*Authenticator) *Site {
	s := &Site{pages: map[string]func(context.Context, *authz.Request, []byte) authz.Answer{pathSignedOut: signedOut}, all: all}
	for _, a := range all {
		s.pages[pathCallback+a.suffix] = a.callback
		s.pages[pathLogin+a.suffix] = a.login
		s.pages[pathLogout+a.suffix] = a.logout
		s.pages[pathBackchannel+a.suffix] = a.backchannel
	}
	return s
}

// Owns reports whether a path is one of ours.
func (s *Site) Owns(path []byte) bool {
	_, ok := s.pages[string(path)]
	return ok
}

// Serve answers a request to one of our paths.
func (s *Site) Serve(r *authz.Request, body []byte) authz.Answer {
	page := s.pages[string(r.Path)]
	if page == nil || len(s.all) == 0 {
		return pages.Page{Title: "There is no such page"}.Answer(404, reasonLost)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.all[0].cfg.Timeout)
	defer cancel()
	return page(ctx, r, body)
}

// login begins a login for whoever follows a link here.
func (a *Authenticator) login(_ context.Context, r *authz.Request, _ []byte) authz.Answer {
	if !r.Secure {
		return insecure(r, true)
	}
	if r.Method != "GET" && r.Method != "HEAD" {
		return wrongMethod("GET")
	}
	q, err := url.ParseQuery(string(r.Query))
	to := q.Get("to")
	if err != nil || !isBack(to) {
		to = "/"
	}
	return a.begin(r, to)
}

func wrongMethod(allow string) authz.Answer {
	return pages.Page{Title: "This page is not asked for in that way"}.Answer(405, reasonMethod, authz.Field{Name: "Allow", Value: allow})
}

func signedOut(_ context.Context, r *authz.Request, _ []byte) authz.Answer {
	if r.Method != "GET" && r.Method != "HEAD" {
		return wrongMethod("GET, HEAD")
	}
	return pages.Page{Title: "You are signed out", Text: []string{"Your session on this site is over. The service that signed you in may remember you still."},
		Links: []pages.Link{{Text: "Go to the start page", To: "/"}}}.Answer(200, reasonSignedOut)
}
