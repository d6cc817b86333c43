package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/session"
)

// Config says at which provider people log in.
type Config struct {
	Name     string   // 1 to 32 of a-z 0-9 -; empty: the one without a name
	Issuer   string   // address of the provider, byte by byte as it calls itself: https, or http to this host
	ClientID string   // what the provider calls us
	Secret   *Secret  // that we prove it with; nil: a public client, PKCE alone
	Scopes   []string // zero: openid profile email; openid is always among them

	Algorithms []string     // of signatures; zero: DefaultAlgorithms
	Names      issuer.Names // which claims are what. Keep: nil is none, so that cookies stay small

	Keeper    *session.Keeper   // never nil
	StateDir  string            // where the provider's description and keys are kept; empty: nowhere
	Timeout   time.Duration     // of a request to the Site, whatever it has to ask; zero: 4s
	CA        *x509.CertPool    // who vouches for the provider; nil: the system's
	Transport http.RoundTripper // zero: one of its own
	Now       func() time.Time  // zero: time.Now
	Log       *slog.Logger      // zero: nobody reads it
}

// DefaultAlgorithms are the signatures that are believed where a provider's are not named.
var DefaultAlgorithms = []string{"RS256", "ES256", "EdDSA"}

// Authenticator logs in at one provider. Safe for concurrent use.
type Authenticator struct {
	cfg      Config
	name     string // "oidc", "oidc/NAME"
	suffix   string // of its paths: "", "/NAME"
	provider *provider
	algs     []jose.SignatureAlgorithm
	seen     window // of logout tokens
	counts   counts
	log      *slog.Logger
}

var (
	_ authz.Greeter = (*Authenticator)(nil)
	_ authz.Renewer = (*Authenticator)(nil)
)

var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// CheckName says what is wrong with the name of a provider.
func CheckName(name string) error {
	if name != "" && !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no name of a provider: 1 to 32 of a-z 0-9 -", name)
	}
	return nil
}

// New returns an authenticator, or what is wrong with its configuration. A description that was kept on disk is in force.
func New(c Config) (*Authenticator, error) {
	if err := errors.Join(CheckName(c.Name), issuer.CheckURL(c.Issuer)); err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	if c.ClientID == "" || c.Keeper == nil {
		return nil, errors.New("oidc: a client ID and a keeper of sessions are required")
	}
	a := &Authenticator{name: "oidc"}
	if c.Name != "" {
		a.suffix = "/" + c.Name
		a.name += a.suffix
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"profile", "email"}
	}
	if !slices.Contains(c.Scopes, "openid") {
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = DefaultAlgorithms
	}
	for _, alg := range c.Algorithms {
		if strings.HasPrefix(alg, "HS") || alg == "none" {
			return nil, fmt.Errorf("oidc: algorithm %q is not one by which only the provider can sign", alg)
		}
		a.algs = append(a.algs, jose.SignatureAlgorithm(alg))
	}
	if c.Names = c.Names.Filled(); c.Names.Keep == nil {
		c.Names.Keep = []string{}
	}
	if c.Timeout == 0 {
		c.Timeout = 4 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a.cfg, a.log = c, c.Log.With("provider", a.name)
	var err error
	if a.provider, err = newProvider(&a.cfg, a.name, a.log); err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	return a, nil
}

// Run finds the provider out at once, from time to time, and when an unknown key is met, until ctx ends. It is called once.
func (a *Authenticator) Run(ctx context.Context) { a.provider.run(ctx) }

// Name returns the word of routes: "oidc", or "oidc/NAME".
func (a *Authenticator) Name() string { return a.name }

// ChallengeHeader returns the challenge of a 401: there is no registered scheme of cookies (RFC 9110 section 11.6.1 demands one).
func (a *Authenticator) ChallengeHeader() string { return `Login realm="sluice"` }

// Fields returns the fields (lower case) that Try and Resolve look at.
func (a *Authenticator) Fields() []string { return []string{"cookie"} }

// Try finds the session of a request.
func (a *Authenticator) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	return a.cfg.Keeper.Try(a.name, r)
}

// Resolve finds the session of a request that is by a key which is not known yet.
func (a *Authenticator) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) {
	return a.cfg.Keeper.Resolve(a.name, r)
}

// Renew renews the session cookie when that is due.
func (a *Authenticator) Renew(id *authz.Identity, r *authz.Request) string {
	return a.cfg.Keeper.Renew(id, a.name, r)
}

// Status is what is known of a provider.
type Status struct {
	Known    bool             // logins are possible
	Keys     int              // of the provider, in force
	Err      error            // of the last fetch of its description or keys; nil: it was good
	Failures uint64           // fetches that failed
	Logins   map[Result]int64 // how logins went, for every Result
}

// Status tells how the provider and its logins fare.
func (a *Authenticator) Status() Status {
	s := Status{Known: a.provider.meta.Load() != nil, Err: a.provider.keys.Err(), Failures: a.provider.failures.Load(), Logins: a.counts.all()}
	if set := a.provider.keys.Current(); set != nil {
		s.Keys = set.Len()
	}
	return s
}
