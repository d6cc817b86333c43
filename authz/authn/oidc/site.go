package oidc

import (
	"context"
	"net/url"
	"sync/atomic"

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

// maxBusy is how many requests to callbacks are with a provider at a time, and to back channels or logouts with one or a disk, each
// kind by itself. Anybody can make such requests, and the proxy has few places for those that wait: logins and logouts
// together leave some for credentials of another kind.
const maxBusy = 16

// Site is the pages of logins on every host. Safe for concurrent use.
type Site struct {
	pages map[string]page
	all   []*Authenticator

	callbacks, backchannels, logouts atomic.Int32 // that are being answered
}

// page answers requests to a path.
type page struct {
	serve  func(context.Context, *authz.Request, []byte) authz.Answer
	busy   *atomic.Int32 // requests of its kind; nil: it waits for nobody
	reason string        // of the answer where they are too many
}

var _ authz.Site = (*Site)(nil)

// NewSite returns the pages of those providers. No two have the same name.
func NewSite(all ...*Authenticator) *Site {
	s := &Site{pages: map[string]page{pathSignedOut: {serve: signedOut}}, all: all}
	for _, a := range all {
		s.pages[pathCallback+a.suffix] = page{a.callback, &s.callbacks, reasonUnavailable}
		s.pages[pathLogin+a.suffix] = page{serve: a.login}
		s.pages[pathLogout+a.suffix] = page{a.logout, &s.logouts, reasonLogout}
		s.pages[pathBackchannel+a.suffix] = page{a.backchannel, &s.backchannels, reasonBackchannel}
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
	p := s.pages[string(r.Path)]
	if p.serve == nil || len(s.all) == 0 {
		return pages.Page{Title: "There is no such page"}.Answer(404, reasonLost)
	}
	if p.busy != nil {
		defer p.busy.Add(-1)
		if p.busy.Add(1) > maxBusy {
			return pages.Page{Title: "This is not possible right now", Text: []string{"Too many ask for it at the same moment. Please load this page again in a few seconds."}}.Answer(
				503, p.reason, authz.Field{Name: "Retry-After", Value: "5"})
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.all[0].cfg.Timeout)
	defer cancel()
	return p.serve(ctx, r, body)
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
