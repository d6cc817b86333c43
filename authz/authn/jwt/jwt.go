package jwt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 8 << 10

// Issuer is somebody whose tokens are believed.
type Issuer struct {
	Issuer     string   // "iss" of its tokens, compared byte by byte
	Audience   []string // one of them has to be in "aud"; never empty
	Algorithms []string // zero: DefaultAlgorithms
	Keys       issuer.Keys
	Names      issuer.Names
}

// DefaultAlgorithms are those that are allowed where an issuer does not say it.
var DefaultAlgorithms = []string{"RS256", "ES256", "EdDSA"}

// Algorithms returns what may be allowed (RFC 7518 section 3.1, RFC 8037): signatures by a key of
// which only the issuer has the secret half.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Config says whose tokens are believed.
type Config struct {
	Issuers []Issuer         // no two with the same Issuer
	Leeway  time.Duration    // between our clock and theirs; zero: 30s
	Cache   int              // tokens that are remembered; zero: 10,000
	Now     func() time.Time // zero: time.Now
}

// Authenticator authenticates by token. Safe for concurrent use.
type Authenticator struct {
	issuers map[string]*trusted
	algs    []jose.SignatureAlgorithm // of all issuers
	leeway  time.Duration
	now     func() time.Time
	cache   cache
}

var _ authz.Authenticator = (*Authenticator)(nil)

type trusted struct {
	Issuer
	algs   []jose.SignatureAlgorithm
	finder issuer.Finder
}

// New returns an authenticator, or what is wrong with its configuration.
func New(c Config) (*Authenticator, error) {
	a := &Authenticator{issuers: map[string]*trusted{}, leeway: c.Leeway, now: c.Now}
	if a.leeway == 0 {
		a.leeway = 30 * time.Second
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.cache.limit = c.Cache
	if a.cache.limit == 0 {
		a.cache.limit = 10_000
	}
	if len(c.Issuers) == 0 {
		return nil, errors.New("jwt: no issuer")
	}
	for _, in := range c.Issuers {
		is, err := in.check()
		if err != nil {
			return nil, fmt.Errorf("jwt: issuer %q: %w", in.Issuer, err)
		}
		if a.issuers[in.Issuer] != nil {
			return nil, fmt.Errorf("jwt: issuer %q is given twice", in.Issuer)
		}
		a.issuers[in.Issuer] = is
		a.algs = append(a.algs, is.algs...)
	}
	return a, nil
}

func (in Issuer) check() (*trusted, error) {
	switch {
	case in.Issuer == "":
		return nil, errors.New("it has no name")
	case len(in.Audience) == 0 || slices.Contains(in.Audience, ""):
		return nil, errors.New("audience is required: without one a token for anybody else would do")
	case in.Keys == nil:
		return nil, errors.New("it has no keys")
	}
	if len(in.Algorithms) == 0 {
		in.Algorithms = DefaultAlgorithms
	}
	out := &trusted{Issuer: in, finder: issuer.Finder{Keys: in.Keys}}
	for _, alg := range in.Algorithms {
		if !slices.Contains(Algorithms(), alg) {
			return nil, fmt.Errorf("algorithm %q is not one of %q", alg, Algorithms())
		}
		out.algs = append(out.algs, jose.SignatureAlgorithm(alg))
	}
	return out, nil
}

// Name returns "jwt".
func (a *Authenticator) Name() string { return "jwt" }

// ChallengeHeader returns the challenge of RFC 6750 section 3.
func (a *Authenticator) ChallengeHeader() string { return `Bearer realm="sluice"` }

// Fields returns the fields (lower case) that Try and Resolve look at.
func (a *Authenticator) Fields() []string { return []string{"authorization"} }

// Try answers for tokens that were verified before. What is no JWT is for another authenticator.
func (a *Authenticator) Try(req *authz.Request) (*authz.Identity, authz.Verdict) {
	t, v := presented(req)
	if v != authz.Pending {
		return nil, v
	}
	return a.cache.get(sha256.Sum256(t), a.now())
}

// Resolve verifies the token of a request.
func (a *Authenticator) Resolve(req *authz.Request) (*authz.Identity, authz.Verdict) {
	t, v := presented(req)
	if v != authz.Pending {
		return nil, v
	}
	key := sha256.Sum256(t)
	if id, v := a.cache.get(key, a.now()); v != authz.Pending {
		return id, v
	}
	verified, err := a.verify(string(t))
	switch {
	case errors.Is(err, issuer.ErrUnavailable):
		return nil, authz.Unavailable
	case err != nil:
		return nil, authz.Challenge
	}
	a.cache.put(key, verified, a.now())
	return verified.identity, authz.Allow
}

// presented finds the token of a request. Pending: there is one to be looked at.
func presented(req *authz.Request) ([]byte, authz.Verdict) {
	if req.Fields == nil {
		return nil, authz.Deny
	}
	value, count := req.Fields.Field("authorization")
	switch {
	case count == 0:
		return nil, authz.Deny
	case count > 1:
		return nil, authz.Challenge
	}
	const scheme = "bearer "
	value = bytes.TrimLeft(value, " \t")
	if len(value) < len(scheme) || !bytes.EqualFold(value[:len(scheme)], []byte(scheme)) {
		return nil, authz.Deny
	}
	token := bytes.TrimLeft(value[len(scheme):], " ")
	if !shaped(token) {
		return nil, authz.Deny
	}
	if len(token) > maxToken {
		return nil, authz.Challenge
	}
	return token, authz.Pending
}

// shaped says whether a credential is a JWS in its compact form: three parts in base64url, of
// which the first is a JSON object.
func shaped(token []byte) bool {
	if !bytes.HasPrefix(token, []byte("eyJ")) {
		return false
	}
	dots := 0
	for _, c := range token {
		switch {
		case c == '.':
			dots++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == 2
}
