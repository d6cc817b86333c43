package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/sluiceproxy/sluice/authz/authn/issuer"
)

const (
	maxToken = 128 << 10        // bytes of a token that is looked at
	leeway   = time.Minute      // between our clock and the provider's
	maxAge   = 10 * time.Minute // of a token when it comes
)

// signed checks signatures for go-oidc: by the keys of the provider that are known, with a fetch where one is not.
type signed struct {
	a     *Authenticator
	types []string // of the token (RFC 8725 section 3.11)

	claims issuer.Claims // of the token, once it is verified
	err    error         // of the last, whole: go-oidc keeps its text only
}

func (s *signed) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	defer func() { s.err = err }()
	if len(token) > maxToken || !issuer.Canonical(token) {
		return nil, issuer.ErrEncoding
	}
	jws, err := jose.ParseSignedCompact(token, s.a.algs)
	if err != nil {
		return nil, err
	}
	h := jws.Signatures[0].Protected
	if err := issuer.CheckHeader(h, s.types...); err != nil {
		return nil, err
	}
	_, key, err := s.a.provider.finder.Find(ctx, h)
	if err != nil {
		return nil, err
	}
	if payload, err = jws.Verify(key); err != nil {
		return nil, err
	}
	s.claims, err = issuer.ParseClaims(payload)
	return payload, err
}

// verifier checks tokens of the provider for us.
func (a *Authenticator) verifier(s *signed) *oidc.IDTokenVerifier {
	return oidc.NewVerifier(a.cfg.Issuer, s, &oidc.Config{ClientID: a.cfg.ClientID, SupportedSigningAlgs: a.cfg.Algorithms,
		Now: func() time.Time { return a.cfg.Now().Add(-leeway) }})
}

// verifyID checks the ID token of an exchange (OpenID Connect Core 1.0 section 3.1.3.7). The error is issuer.ErrUnavailable where
// it may be a good one.
func (a *Authenticator) verifyID(ctx context.Context, got *oauth2.Token, nonce string) (issuer.Claims, error) {
	raw, ok := got.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("there is no ID token; is openid among the scopes?")
	}
	s := &signed{a: a, types: []string{"jwt"}}
	token, err := a.verifier(s).Verify(ctx, raw)
	switch {
	case s.err != nil:
		return nil, s.err
	case err != nil:
		return nil, err
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return nil, errors.New("the ID token is of another login: its nonce is not ours")
	case token.Subject == "":
		return nil, errors.New("the ID token has no subject")
	}
	if err := a.checkParty(s.claims, token.Audience); err != nil {
		return nil, err
	}
	if err := a.checkIssued(s.claims); err != nil {
		return nil, err
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(got.AccessToken); err != nil {
			return nil, err
		}
	}
	return s.claims, nil
}

// checkParty looks at whom a token was issued to, which has to be told where it is for several.
func (a *Authenticator) checkParty(c issuer.Claims, audience []string) error {
	azp, given := c["azp"]
	switch {
	case !given && len(audience) > 1:
		return fmt.Errorf("the token is for %d, and does not say that it was issued to us (azp)", len(audience))
	case given && azp != a.cfg.ClientID:
		return errors.New("the token was issued to somebody else (azp)")
	}
	return nil
}

func (a *Authenticator) checkIssued(c issuer.Claims) error {
	issued, err := c.Time("iat")
	now := a.cfg.Now()
	switch {
	case err != nil || issued.IsZero():
		return errors.New("the token does not say when it was issued")
	case issued.Sub(now) > leeway || now.Sub(issued) > maxAge:
		return errors.New("the token was not issued just now; do the clocks agree?")
	}
	return nil
}

// errFar says that a token only points at the groups of its user.
var errFar = errors.New("the provider says that there are groups and does not name them in the token; have it send fewer, or only those that this application needs")

// checkFar looks for claims that are elsewhere (Core section 5.6.2): no groups are not the same as groups that nobody looked up.
func (a *Authenticator) checkFar(c issuer.Claims) error {
	far, _ := c["_claim_names"].(map[string]any)
	for name := range far {
		if name == a.cfg.Names.Groups || slices.Contains(a.cfg.Names.Keep, name) {
			return errFar
		}
	}
	return nil
}
