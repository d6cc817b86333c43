package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
)

// certificates are those of one listener.
type certificates struct {
	listener string
	*edgetls.Store
}

func edgeConfig(ln config.Listener) edgetls.Config {
	t := ln.TLS
	cfg := edgetls.Config{Dir: t.Dir, TicketKeys: t.TicketKeys, Protocols: ln.Protocols(), MinVersion: tls.VersionTLS12}
	if t.MinVersion == "1.3" {
		cfg.MinVersion = tls.VersionTLS13
	}
	cfg.Clients = edgetls.Clients{CA: t.Clients.CA, CRLs: t.Clients.CRLs}
	switch t.Clients.Mode {
	case "request":
		cfg.Clients.Auth = edgetls.Request
	case "require":
		cfg.Clients.Auth = edgetls.Require
	}
	for _, c := range t.Certificates {
		cfg.Pairs = append(cfg.Pairs, edgetls.Pair{Cert: c.Cert, Key: c.Key})
	}
	return cfg
}

// wireCertificates reads the certificates of every listener that has some. A listener without
// good ones never opens.
func (a *app) wireCertificates(cfg *proxy.Config) error {
	var errs []error
	for i, ln := range a.cfg.Listeners {
		if !ln.TLS.On() {
			continue
		}
		s, err := edgetls.New(edgeConfig(ln))
		if err != nil {
			errs = append(errs, fmt.Errorf("listeners[%d].tls: %w", i, err))
			continue
		}
		cfg.Listeners[i].TLS = s
		a.certificates = append(a.certificates, certificates{ln.Name, s})
	}
	return errors.Join(errs...)
}

// reloadCertificates reads them all again, says what changed, and puts what is wrong into health.
func (a *app) reloadCertificates() error {
	if !a.speaksTLS() {
		return nil
	}
	var errs, warnings []error
	for _, c := range a.certificates {
		changed, err := c.Reload()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("listener %s: %w", c.listener, err))
		case changed:
			a.log.Info("certificates in force", "listener", c.listener, "certificates", len(c.Stats().Certificates))
		}
		for _, e := range c.Stats().Clients {
			if time.Now().After(e.From) {
				warnings = append(warnings, fmt.Errorf("listener %s: %s", c.listener, lateness(e)))
			}
		}
		for _, one := range c.Stats().Certificates {
			if left := time.Until(one.NotAfter); left < expiresSoon {
				warnings = append(warnings, fmt.Errorf("listener %s: certificate %s for %v expires at %s", c.listener, one.File, one.Names, one.NotAfter.UTC().Format(time.RFC3339)))
			}
		}
	}
	failed, soon := a.reloadOutgoing()
	errs, warnings = append(errs, failed...), append(warnings, soon...)
	err := errors.Join(errs...)
	if all := errors.Join(append(errs, warnings...)...); all != nil {
		a.registry.Set(health.TLSCertificates, health.Degraded, all)
	} else {
		a.registry.Set(health.TLSCertificates, health.Running, nil)
	}
	return err
}

// lateness says what an expiry means for clients.
func lateness(e edgetls.Expiry) string {
	end, what := "expires", "the revocation list"
	if e.What == edgetls.Authority {
		what = "an authority of clients"
	}
	if !time.Now().Before(e.At) {
		end = "has refused every client that depends on it since it expired"
	}
	return fmt.Sprintf("%s in %s %s at %s", what, e.File, end, e.At.UTC().Format(time.RFC3339))
}

// expiresSoon is when health begins to speak of an expiry.
const expiresSoon = 72 * time.Hour

// certPoll is how often the files are looked at.
const certPoll = 5 * time.Second

// certWatcher looks at the files for as long as anybody may shake hands.
type certWatcher struct {
	app    *app
	cancel context.CancelFunc
	done   chan struct{} // closed by watch
	last   string        // error that was logged
}

func (w *certWatcher) Name() string { return "certificates" }

func (w *certWatcher) Start(context.Context) error {
	w.app.registry.Declare(health.TLSCertificates, health.Degradable)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	w.look()
	go w.watch(ctx) // ends with Close
	return nil
}

func (w *certWatcher) watch(ctx context.Context) {
	defer close(w.done)
	t := time.NewTicker(certPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.look()
		case <-ctx.Done():
			return
		}
	}
}

// look reads again; an error is logged when it is a new one.
func (w *certWatcher) look() {
	err := w.app.reloadCertificates()
	if now := fmt.Sprint(err); err != nil && now != w.last {
		w.app.log.Error("certificates refused; those in force stay", "err", err)
	}
	w.last = fmt.Sprint(err)
}

func (w *certWatcher) Admit() error                { return nil }
func (w *certWatcher) LameDuck()                   {}
func (w *certWatcher) Drain(context.Context) error { return nil }

// Close waits for a look under way, but not for a file system that does not answer.
func (w *certWatcher) Close() error {
	w.cancel()
	select {
	case <-w.done:
	case <-time.After(certClose):
		w.app.log.Warn("a file of certificates cannot be read to its end; nobody waits for it")
	}
	return nil
}

// certClose bounds that wait.
const certClose = 500 * time.Millisecond

func (a *app) certificateStats() map[string]edgetls.Stats {
	all := map[string]edgetls.Stats{}
	for _, c := range a.certificates {
		all[c.listener] = c.Stats()
	}
	return all
}
