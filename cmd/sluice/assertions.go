package main

import (
	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/assertion"
	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/proxy"
)

// addAssertions makes upstreams hear who sent a request in a form that they can verify, if the configuration says so.
func (a *app) addAssertions(cfg *proxy.Config) {
	signer := assertionSigner(a.cfg)
	if signer == nil {
		return
	}
	cfg.Asserter, cfg.AssertionFields = signer, assertionFields(a.cfg)
	cfg.Sites = append(cfg.Sites, signer)
	a.keySources = append(a.keySources, &keySource{what: "keys of assertions", load: signer.Load, size: signer.Len, gate: true})
}

// assertionSigner has no keys yet; nil: the configuration names none.
func assertionSigner(cfg *config.Config) *assertion.Signer {
	if cfg.Assertion.KeyFile == "" {
		return nil
	}
	return assertion.New(assertion.Config{File: cfg.Assertion.KeyFile, Lifetime: cfg.Assertion.Lifetime, Pomerium: cfg.Assertion.Pomerium})
}

func assertionFields(cfg *config.Config) []string {
	fields := []string{assertion.Field}
	if cfg.Assertion.Pomerium {
		fields = append(fields, assertion.PomeriumField)
	}
	return fields
}

// reservedSites are the sites that the configuration brings about, for whoever only checks a policy: no route can have their paths.
func reservedSites(cfg *config.Config) (sites []authz.Site) {
	if s := assertionSigner(cfg); s != nil {
		sites = append(sites, s)
	}
	if len(cfg.Authenticate.OIDC) > 0 {
		sites = append(sites, oidc.NewSite())
	}
	return sites
}
