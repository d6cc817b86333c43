package main

import (
	"maps"

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
	all := maps.Clone(cfg.Authenticators)
	if all == nil {
		all = map[string]authz.Authenticator{}
	}
	certs := authn.NewClientCertificates(from)
	all[certs.Name()] = certs
	cfg.Authenticators = all
}
