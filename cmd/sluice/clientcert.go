package main

import (
	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn"
	"github.com/sluiceproxy/sluice/proxy"
)

// addClientCertificates adds the authenticator by certificate, if it is configured.
func (a *app) addClientCertificates(cfg *proxy.Config) {
	if !a.cfg.Authenticate.ClientCertificate.On() {
		return
	}
	from, err := authn.ParseUserFrom(a.cfg.Authenticate.ClientCertificate.User)
	if err != nil {
		panic("BUG: authenticate.client_certificate.user passed the parser: " + err.Error())
	}
	certs := authn.NewClientCertificates(from)
	authenticators(cfg)[certs.Name()] = certs
}

// authenticators are those of a configuration, to add to.
func authenticators(cfg *proxy.Config) map[string]authz.Authenticator {
	if cfg.Authenticators == nil {
		cfg.Authenticators = map[string]authz.Authenticator{}
	}
	return cfg.Authenticators
}
