package jwt

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
)

var (
	errIssuer    = errors.New("the issuer is not one of ours")
	errAlgorithm = errors.New("the algorithm is not one of the issuer's")
	errAudience  = errors.New("it is for somebody else")
	errTime      = errors.New("it is not valid now")
)

// verified is a token that is believed.
type verified struct {
	identity *authz.Identity
	until    time.Time
	keys     *issuer.KeySet // that vouch for it
	from     issuer.Keys
}

func (a *Authenticator) verify(token string) (*verified, error) {
	if !issuer.Canonical(token) {
		return nil, issuer.ErrEncoding
	}
	jws, err := jose.ParseSignedCompact(token, a.algs)
	if err != nil {
		return nil, err
	}
	claims, err := readClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, err
	}
	is := a.issuers[claims.issuer]
	if is == nil {
		return nil, errIssuer
	}
	header := jws.Signatures[0].Protected
	if err := is.checkHeader(header); err != nil {
		return nil, err
	}
	until, err := a.checkClaims(is, claims)
	if err != nil {
		return nil, err
	}
	keys, key, err := is.finder.Find(context.Background(), header)
	if err != nil {
		return nil, err
	}
	if _, err := jws.Verify(key); err != nil {
		return nil, err
	}
	id, err := claims.all.Identity("jwt", is.Names)
	if err != nil {
		return nil, err
	}
	return &verified{identity: id, until: until, keys: keys, from: is.Keys}, nil
}

func (is *trusted) checkHeader(h jose.Header) error {
	if !slices.Contains(is.algs, jose.SignatureAlgorithm(h.Algorithm)) {
		return errAlgorithm
	}
	return issuer.CheckHeader(h, "jwt", "at+jwt") // RFC 9068
}

func (a *Authenticator) checkClaims(is *trusted, c *claims) (until time.Time, err error) {
	if !slices.ContainsFunc(c.audience, func(aud string) bool { return slices.Contains(is.Audience, aud) }) {
		return until, errAudience
	}
	now := a.now()
	switch {
	case c.expires.IsZero() || !now.Before(c.expires.Add(a.leeway)):
		return until, errTime
	case !c.notBefore.IsZero() && now.Before(c.notBefore.Add(-a.leeway)):
		return until, errTime
	case !c.issued.IsZero() && now.Before(c.issued.Add(-a.leeway)):
		return until, errTime
	}
	return c.expires.Add(a.leeway), nil
}

// claims are those of a token.
type claims struct {
	issuer                     string
	audience                   []string
	expires, notBefore, issued time.Time
	all                        issuer.Claims
}

func readClaims(payload []byte) (*claims, error) {
	all, err := issuer.ParseClaims(payload)
	if err != nil {
		return nil, err
	}
	c := &claims{all: all}
	ok := true
	if c.issuer, ok = all["iss"].(string); !ok {
		return nil, errIssuer
	}
	if c.audience, err = all.Texts("aud"); err != nil {
		return nil, err
	}
	for name, at := range map[string]*time.Time{"exp": &c.expires, "nbf": &c.notBefore, "iat": &c.issued} {
		if *at, err = all.Time(name); err != nil {
			return nil, err
		}
	}
	return c, nil
}
