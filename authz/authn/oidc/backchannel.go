package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/session"
)

// backchannel takes a provider's word that a user has logged out (OpenID Connect Back-Channel Logout 1.0). 200: the sessions are
// over. 400: the token is not one to believe. 503: that cannot be said now.
func (a *Authenticator) backchannel(ctx context.Context, r *authz.Request, body []byte) authz.Answer {
	fields := []authz.Field{noStore, {Name: "Content-Type", Value: "text/plain; charset=utf-8"}}
	answer := func(status int, text string) authz.Answer {
		return authz.Answer{Status: status, Reason: reasonBackchannel, Fields: fields, Body: []byte(text + "\n")}
	}
	if r.Method != "POST" {
		fields = append(fields, authz.Field{Name: "Allow", Value: "POST"})
		return answer(405, "a logout token is posted")
	}
	err := a.takeLogout(ctx, body)
	switch {
	case err == nil:
		return answer(200, "logged out")
	case errors.Is(err, issuer.ErrUnavailable) || errors.Is(err, errNotDurable):
		a.log.Warn("back-channel logout not taken", "err", err)
		fields = append(fields, authz.Field{Name: "Retry-After", Value: "5"})
		return answer(503, "not possible now")
	}
	a.log.Warn("back-channel logout refused", "err", err)
	return answer(400, "the logout token is not accepted; the log of the proxy says why")
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// errNotDurable says that a logout counts here, and maybe not after a restart.
var errNotDurable = errors.New("it is not kept everywhere")

// takeLogout verifies a logout token (Back-Channel Logout section 2.6) and ends what it names.
func (a *Authenticator) takeLogout(ctx context.Context, body []byte) error {
	form, err := url.ParseQuery(string(body))
	raw := one(form, "logout_token")
	if err != nil || raw == "" {
		return errors.New("there is no logout_token in the form")
	}
	s := &signed{a: a, types: []string{"jwt", "logout+jwt"}}
	token, err := a.verifier(s).VerifyLogout(ctx, raw)
	switch {
	case s.err != nil:
		return s.err
	case err != nil:
		return err
	}
	if events, _ := s.claims["events"].(map[string]any); events[logoutEvent] == nil {
		return errors.New("events do not say that it is a logout")
	} else if _, ok := events[logoutEvent].(map[string]any); !ok {
		return errors.New("the event of the logout is malformed")
	}
	if err := a.checkIssued(s.claims); err != nil {
		return err
	}
	now := a.cfg.Now()
	if a.seen.has(token.TokenID, now) {
		return errors.New("the token was used before")
	}
	end := session.Revocation{Kind: session.Sub, Issuer: a.cfg.Issuer, Value: token.Subject}
	if token.SessionID != "" {
		end.Kind, end.Value = session.Upstream, token.SessionID
	}
	if strings.TrimSpace(end.Value) == "" {
		return errors.New("it names nobody")
	}
	if err := a.cfg.Keeper.Revoke(ctx, end); err != nil {
		return fmt.Errorf("%w: %w", errNotDurable, err)
	}
	a.seen.add(token.TokenID, now)
	a.log.Info("back-channel logout", "kind", end.Kind)
	return nil
}

const maxSeen = 10_000 // tokens that are remembered

// window remembers which tokens were used, for as long as they could be used again, the last maxSeen of them. A token gets in
// only if the provider has signed it: nobody else fills it. The zero value is empty.
type window struct {
	mu   sync.Mutex
	used map[[sha256.Size]byte]time.Time // when
	line [][sha256.Size]byte             // in the order of their use, from next on, in a circle once it is full
	next int
}

func (w *window) has(id string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.used[sha256.Sum256([]byte(id))]
	return ok && now.Sub(at) <= maxAge+2*leeway
}

func (w *window) add(id string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used == nil {
		w.used = map[[sha256.Size]byte]time.Time{}
	}
	sum := sha256.Sum256([]byte(id))
	if _, known := w.used[sum]; known {
		w.used[sum] = now
		return
	}
	if len(w.line) < maxSeen {
		w.line = append(w.line, sum)
	} else {
		delete(w.used, w.line[w.next])
		w.line[w.next] = sum
		w.next = (w.next + 1) % maxSeen
	}
	w.used[sum] = now
}
