package main

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	ownpages "github.com/sluiceproxy/sluice/authz/pages"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/proxy"
)

// providerName is the word of routes for a provider.
func providerName(in config.OIDC) string {
	if in.Name == "" {
		return "oidc"
	}
	return "oidc/" + in.Name
}

// addProviders adds the logins that the configuration has, and their pages. A provider that does not answer keeps nobody from
// starting, and ends no session.
func (a *app) addProviders(cfg *proxy.Config) error {
	for i, in := range a.cfg.Authenticate.OIDC {
		c := oidc.Config{Name: in.Name, Issuer: in.Issuer, ClientID: in.ClientID, Scopes: in.Scopes, Algorithms: in.Algorithms,
			Names:  issuer.Names{User: in.User, Email: in.Email, Groups: in.Groups, Keep: in.Claims},
			Keeper: a.sessions.keeper, StateDir: a.cfg.Policy.StateDir, Timeout: a.cfg.Timeouts.Stage * 4 / 5, Log: a.log}
		var err error
		if c.CA, err = readAuthorities(in.CA); err != nil {
			return fmt.Errorf("authenticate.oidc[%d].ca_file: %w", i, err)
		}
		if in.ClientSecret != "" {
			c.Secret = oidc.NewSecret(in.ClientSecret)
			a.keySources = append(a.keySources, &keySource{what: "client secret of " + providerName(in), load: c.Secret.Load, size: func() int { return 1 }, gate: true})
		}
		p, err := oidc.New(c)
		if err != nil {
			return fmt.Errorf("authenticate.oidc[%d]: %w", i, err)
		}
		a.providers = append(a.providers, p)
		authenticators(cfg)[p.Name()] = p
		keys := 0 // guarded by keyLoader.loading
		a.keySources = append(a.keySources, &keySource{what: "provider " + p.Name(), run: p.Run, size: func() int { return p.Status().Keys }, load: func() (changed bool, err error) {
			s := p.Status()
			changed, keys = s.Keys != keys, s.Keys
			return changed, s.Err
		}})
	}
	if len(a.providers) > 0 {
		cfg.Sites = append(cfg.Sites, oidc.NewSite(a.providers...))
		cfg.DeniedPage = ownpages.Denied
	}
	return nil
}

// readAuthorities reads a file of certificates; without a file they are the system's.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

// checkProviders checks the files of the providers, as a start would.
func checkProviders(cfg *config.Config) (errs []error) {
	for i, in := range cfg.Authenticate.OIDC {
		if in.ClientSecret != "" {
			if err := oidc.CheckSecret(in.ClientSecret); err != nil {
				errs = append(errs, fmt.Errorf("authenticate.oidc[%d].client_secret_file: %w", i, err))
			}
		}
		if _, err := readAuthorities(in.CA); err != nil {
			errs = append(errs, fmt.Errorf("authenticate.oidc[%d].ca_file: %w", i, err))
		}
	}
	return errs
}

// logins is how they fare, for metrics.
func (a *app) logins() []admin.Logins {
	var list []admin.Logins
	for _, p := range a.providers {
		s := p.Status()
		list = append(list, admin.Logins{Provider: p.Name(), Failures: s.Failures, Results: s.Logins})
	}
	return list
}
