package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz/authn"
	"github.com/sluiceproxy/sluice/authz/authn/basic"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/authn/jwt"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
)

// keySource is something that authenticators need, and that changes while they run.
type keySource struct {
	what string                           // for logs: "api keys"
	load func() (changed bool, err error) // takes a change over; an error keeps what is in force
	size func() int                       // how many keys are in force
	run  func(context.Context)            // fetches, until the context ends; nil: load does
	gate bool                             // nothing is admitted before it was loaded once

	failing bool // as the log has it; guarded by keyLoader.loading
}

// addAuthenticators adds those that the configuration has, and what they need.
func (a *app) addAuthenticators(cfg *proxy.Config) error {
	if file := a.cfg.Authenticate.APIKey.File; file != "" {
		keys := authn.NewAPIKeys(authn.APIKeyConfig{File: file})
		authenticators(cfg)[keys.Name()] = keys
		a.keySources = append(a.keySources, &keySource{what: "api keys", load: keys.Load, size: func() int { return keys.Status().Keys }, gate: true})
	}
	if file := a.cfg.Authenticate.Basic.File; file != "" {
		users := basic.New(file)
		authenticators(cfg)[users.Name()] = users
		a.keySources = append(a.keySources, &keySource{what: "users", load: users.Load, size: func() int { return users.Status().Users }, gate: true})
	}
	a.addClientCertificates(cfg)
	if err := a.addProviders(cfg); err != nil {
		return err
	}
	if len(a.cfg.Authenticate.JWT) == 0 {
		return nil
	}
	var issuers []jwt.Issuer
	for _, in := range a.cfg.Authenticate.JWT {
		is := jwt.Issuer{Issuer: in.Issuer, Audience: in.Audience, Algorithms: in.Algorithms, Names: issuer.Names{User: in.User, Email: in.Email, Groups: in.Groups}}
		source, err := a.issuerKeys(in, &is)
		if err != nil {
			return fmt.Errorf("authenticate.jwt: issuer %q: %w", in.Issuer, err)
		}
		a.keySources, issuers = append(a.keySources, source), append(issuers, is)
	}
	tokens, err := jwt.New(jwt.Config{Issuers: issuers})
	if err != nil {
		return fmt.Errorf("authenticate.jwt: %w", err)
	}
	authenticators(cfg)[tokens.Name()] = tokens
	return nil
}

// issuerKeys makes the source of an issuer's keys. A file is there or is not; an issuer that does not answer
// keeps nobody from starting: its tokens are answered 503 until it does.
func (a *app) issuerKeys(in config.JWT, is *jwt.Issuer) (*keySource, error) {
	s := &keySource{what: "keys of tokens of " + in.Issuer, size: func() int {
		if set := is.Keys.Current(); set != nil {
			return set.Len()
		}
		return 0
	}}
	if in.JWKSFile != "" {
		f := issuer.NewFile(in.JWKSFile)
		is.Keys, s.load, s.gate = f, f.Load, true
		return s, nil
	}
	r, err := issuer.NewRemote(issuer.RemoteConfig{URL: in.JWKSURL})
	if err != nil {
		return nil, err
	}
	is.Keys, s.run = r, r.Run
	var last *issuer.KeySet // guarded by keyLoader.loading
	s.load = func() (changed bool, err error) {
		now := r.Current()
		changed, last = now != last, now
		return changed, r.Err()
	}
	return s, nil
}

// keyLoader has the sources loaded at start, and again when they change.
type keyLoader struct {
	sources  []*keySource
	target   *lifecycle.Target
	registry *health.Registry
	log      *slog.Logger

	loading sync.Mutex // held by load
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// keyPoll is how often sources are asked whether they changed.
const keyPoll = 5 * time.Second

// wireKeys makes what can be loaded an init target: a proxy that cannot read its keys would
// refuse everybody who has one.
func (a *app) wireKeys() {
	if len(a.keySources) == 0 {
		return
	}
	a.keys = &keyLoader{sources: a.keySources, target: a.manager.Target(health.AuthenticateService), registry: a.registry, log: a.log}
	a.manager.Register(a.keys)
}

func (k *keyLoader) Name() string { return "keys" }

func (k *keyLoader) Start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	for _, s := range k.sources {
		if s.run != nil {
			k.done.Go(func() { s.run(ctx) }) // ends with Close
		}
	}
	_ = k.load()                       // told by the target and by health
	k.done.Go(func() { k.watch(ctx) }) // ends with Close
	return nil
}

// load takes changes over. The error is what a reload is refused for: an issuer that does not answer is not among it.
func (k *keyLoader) load() error {
	k.loading.Lock()
	defer k.loading.Unlock()
	var gating, all error
	for _, s := range k.sources {
		changed, err := s.load()
		if err != nil {
			err = fmt.Errorf("%s: %w", s.what, err)
			all = errors.Join(all, err)
			if s.gate {
				gating = errors.Join(gating, err)
			}
		}
		if changed {
			k.log.Info(s.what+" in force", "keys", s.size())
		}
		s.tell(k.log, err)
	}
	if gating != nil {
		k.target.Waiting(gating)
	} else {
		k.target.Ready()
	}
	if all != nil {
		k.registry.Set(health.AuthenticateService, health.Degraded, all)
	} else {
		k.registry.Set(health.AuthenticateService, health.Running, nil)
	}
	return gating
}

// tell logs that a source fails, and that it does not any more: not each time, since health has what it says now.
func (s *keySource) tell(log *slog.Logger, err error) {
	switch {
	case err != nil && !s.failing:
		log.Warn("keys cannot be loaded; what is in force stays, and it is tried again", "err", err)
	case err == nil && s.failing:
		log.Info(s.what + " can be loaded again")
	}
	s.failing = err != nil
}

func (k *keyLoader) watch(ctx context.Context) {
	t := time.NewTicker(keyPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = k.load()
		case <-ctx.Done():
			return
		}
	}
}

func (k *keyLoader) Admit() error                { return nil }
func (k *keyLoader) LameDuck()                   {}
func (k *keyLoader) Drain(context.Context) error { return nil }

func (k *keyLoader) Close() error {
	k.cancel()
	k.done.Wait()
	return nil
}
