package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
)

// outgoing is one profile of connections to upstreams.
type outgoing struct {
	name string
	*edgetls.Outgoing
}

func outgoingConfig(u config.UpstreamTLS) edgetls.OutgoingConfig {
	cfg := edgetls.OutgoingConfig{CA: u.CA, Pair: edgetls.Pair{Cert: u.Cert, Key: u.Key}, ServerName: u.ServerName}
	if u.MinVersion == "1.3" {
		cfg.MinVersion = tls.VersionTLS13
	}
	return cfg
}

// speaksTLS reports whether anything here does.
func (a *app) speaksTLS() bool { return len(a.certificates)+len(a.outgoing) > 0 }

// wireOutgoing reads the files of every profile.
func (a *app) wireOutgoing(cfg *proxy.Config) error {
	var errs []error
	cfg.UpstreamTLS = map[string]proxy.UpstreamTLS{}
	for i, u := range a.cfg.UpstreamTLS {
		o, err := edgetls.NewOutgoing(outgoingConfig(u))
		if err != nil {
			errs = append(errs, fmt.Errorf("upstream_tls[%d]: %w", i, err))
			continue
		}
		cfg.UpstreamTLS[u.Name] = o
		a.outgoing = append(a.outgoing, outgoing{u.Name, o})
	}
	return errors.Join(errs...)
}

// reloadOutgoing reads them again; soon is what will have to be renewed.
func (a *app) reloadOutgoing() (errs, soon []error) {
	for _, o := range a.outgoing {
		changed, err := o.Reload()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("upstream_tls %s: %w", o.name, err))
		case changed:
			a.log.Info("upstream TLS in force", "profile", o.name)
		}
		for _, e := range o.Stats().Expiries {
			if time.Now().After(e.From) {
				soon = append(soon, fmt.Errorf("upstream_tls %s: the %s in %s ends at %s", o.name, e.What, e.File, e.At.UTC().Format(time.RFC3339)))
			}
		}
	}
	return errs, soon
}

// noFiles stands for a profile where a policy is only checked.
type noFiles struct{}

func (noFiles) Client(string, string) (*tls.Config, uint64) { return &tls.Config{}, 0 }
func (noFiles) Version() uint64                             { return 0 }
