package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// sessions has the keys and the list of revocations followed for as long as any connection may have a session: a generation
// that drains hears of what the next one revokes.
type sessions struct {
	keeper *session.Keeper
	fresh  string // file of keys that is made if it is not there; empty: none is
	folder string // for the list, made likewise

	issuers []string // where people log in; empty: nowhere, and any issuer may be meant

	keysTarget, listTarget *lifecycle.Target
	registry               *health.Registry
	log                    *slog.Logger

	looking  sync.Mutex // guards what follows
	keysSaid string     // what was logged last of the keys
	listSaid string     // and of the list

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// listLook is how often health is told of the list.
const listLook = time.Second

// newSessions makes what keeps sessions, if there are any. Without its keys and its list nothing is admitted: users would
// be sent to log in again, or be let in after they were ended.
func (a *app) newSessions() {
	cfg := a.cfg.Sessions
	if !cfg.On() {
		return
	}
	of := session.ListConfig{File: cfg.Revocations.File, Lifetime: cfg.Lifetime,
		MaxStaleness: cfg.Revocations.MaxStaleness, Deny: cfg.Revocations.WhenStale == "deny"}
	if shared := cfg.Revocations.Fleet; shared.Enabled {
		of.Feed, of.FeedStaleness, of.FeedDeny = a.shared.Revocations(), shared.MaxStaleness, shared.WhenStale == "deny"
	}
	list := session.NewList(of)
	s := &sessions{registry: a.registry, log: a.log, keysTarget: a.manager.Target(health.SessionKeys), listTarget: a.manager.Target(health.RevocationSync)}
	s.keeper = session.New(session.Config{Ring: session.NewRing(cfg.KeyFile), Idle: a.cfg.SessionIdle(), Lifetime: cfg.Lifetime, Revocations: list})
	if a.cfg.FreshSessionKeys() {
		s.fresh = cfg.KeyFile
	}
	if a.cfg.Origin("sessions.revocations.file").Kind == config.FromDefault {
		s.folder = a.cfg.Policy.StateDir
	}
	for _, in := range a.cfg.Authenticate.OIDC {
		s.issuers = append(s.issuers, in.Issuer)
	}
	a.sessions = s
}

func (s *sessions) Name() string { return "sessions" }

func (s *sessions) Start(context.Context) error {
	if s.fresh != "" {
		switch created, err := session.CreateRing(s.fresh); {
		case err != nil:
			s.log.Error("no session keys", "err", err)
		case created:
			s.log.Info("session keys made", "file", s.fresh)
		}
	}
	if s.folder != "" {
		if err := os.MkdirAll(s.folder, 0o700); err != nil {
			s.log.Error("no folder for the list of revoked sessions", "err", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	_ = s.load() // told by the target
	_ = s.keeper.Revocations().Sync()
	s.look()
	s.done.Go(func() { s.keeper.Revocations().Run(ctx) }) // ends with Close
	s.done.Go(func() { s.watch(ctx) })                    // ends with Close
	if _, shared := s.keeper.Revocations().FeedStatus(); shared {
		s.done.Go(func() { s.keeper.Revocations().RunFeed(ctx) }) // ends with Close
	}
	return nil
}

func (s *sessions) watch(ctx context.Context) {
	t := time.NewTicker(listLook)
	defer t.Stop()
	for sinceKeys := time.Duration(0); ; {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if sinceKeys += listLook; sinceKeys >= keyPoll {
			sinceKeys = 0
			_ = s.load()
		}
		s.look()
	}
}

// load takes a change of the keys over. An error is what a reload is refused for; the keys in force stay.
func (s *sessions) load() error {
	s.looking.Lock()
	defer s.looking.Unlock()
	changed, err := s.keeper.Ring().Load()
	now := s.keeper.Ring().Status()
	attrs := []health.Attr{{Key: "ring", Value: now.Hash}, {Key: "seals", Value: now.Seals}}
	switch {
	case err != nil:
		s.keysTarget.Waiting(err)
		s.registry.Set(health.SessionKeys, s.broken(now.Hash != ""), err, attrs...)
	default:
		s.keysTarget.Ready()
		s.registry.Set(health.SessionKeys, health.Running, nil, attrs...)
	}
	if changed {
		s.log.Info("session keys in force", "keys", now.Keys, "ring", now.Hash, "seals", now.Seals, "next", now.Next)
	}
	text := now.Warning
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != s.keysSaid {
		s.log.Warn("session keys", "err", text)
	}
	s.keysSaid = text
	return err
}

// broken is the status of what can go on with what it has, or cannot begin.
func (s *sessions) broken(goesOn bool) health.Status {
	if goesOn {
		return health.Degraded
	}
	return health.Starting
}

// look puts the list into health.
func (s *sessions) look() {
	s.looking.Lock()
	defer s.looking.Unlock()
	list := s.keeper.Revocations()
	now := list.Status()
	err := now.Err
	if now.PendingErr != nil {
		err = errors.Join(err, fmt.Errorf("%d revocations are in force here and not on disk since %s: %w", now.Pending, now.PendingSince.UTC().Format(time.RFC3339), now.PendingErr))
	}
	if now.Denies {
		err = errors.Join(err, fmt.Errorf("no session is let in: the list was last read well %s ago (sessions.revocations.max_staleness)", now.Stale.Round(time.Second)))
	} else if now.TooStale && err == nil {
		err = fmt.Errorf("the list was last read well %s ago (sessions.revocations.max_staleness)", now.Stale.Round(time.Second))
	}
	shared := s.sharedErr(list)
	err = errors.Join(err, shared)
	attr := health.Attr{Key: "entries", Value: fmt.Sprint(now.Entries)}
	switch {
	case !now.Readable:
		s.listTarget.Waiting(err)
		s.registry.Set(health.RevocationSync, health.Starting, err, attr)
	case err != nil:
		s.listTarget.Ready()
		s.registry.Set(health.RevocationSync, health.Degraded, err, attr)
	default:
		s.listTarget.Ready()
		s.registry.Set(health.RevocationSync, health.Running, nil, attr)
	}
	text := ""
	if now.Err != nil {
		text = now.Err.Error()
	}
	if now.PendingErr != nil {
		text += now.PendingErr.Error()
	}
	if shared != nil {
		text += "; the fleet's list" // what exactly changes with each look
	}
	if text != "" && text != s.listSaid {
		s.log.Error("list of revoked sessions", "err", err)
	}
	s.listSaid = text
}

// sharedErr is what is wrong with the list that the fleet shares; nil: nothing, or there is none.
func (s *sessions) sharedErr(list *session.List) error {
	feed, ok := list.FeedStatus()
	if !ok || !feed.TooStale && !feed.Denies {
		return nil // a look that failed once is nothing yet
	}
	err := fmt.Errorf("the fleet's list was last read well %s ago (sessions.revocations.fleet.max_staleness)", feed.Stale.Round(time.Second))
	if feed.Denies {
		err = fmt.Errorf("no session is let in: %w", err)
	}
	return errors.Join(err, feed.Err)
}

func (s *sessions) Admit() error                { return nil }
func (s *sessions) LameDuck()                   {}
func (s *sessions) Drain(context.Context) error { return nil }

// Close waits for what is being written, but not for a disk that does not answer.
func (s *sessions) Close() error {
	s.cancel()
	done := make(chan struct{}) // closed by wait
	go func() {                 // ends with what it waits for
		s.done.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(certClose):
		s.log.Warn("the list of revoked sessions cannot be written to its end; nobody waits for it", "pending", s.keeper.Revocations().Status().Pending)
	}
	return nil
}

// revoke ends sessions for the private listener, which has said who may.
func (s *sessions) revoke(ctx context.Context, r session.Revocation) error {
	if r.Issuer != "" && len(s.issuers) > 0 && !slices.Contains(s.issuers, r.Issuer) {
		return fmt.Errorf("%w: %.200q; it is one of %q, byte by byte", admin.ErrNoSuchIssuer, r.Issuer, s.issuers)
	}
	err := s.keeper.Revoke(ctx, r)
	log := s.log.With("kind", r.Kind, "issuer", r.Issuer, "value", r.Value)
	if err != nil {
		log.Error("sessions revoked here, and not on disk", "err", err)
		return err
	}
	if err := s.keeper.Revocations().AwaitFeed(ctx); err != nil {
		log.Error("sessions revoked here, and others of the fleet do not know yet", "err", err)
		return err
	}
	log.Info("sessions revoked")
	return nil
}

// sessionAccount is what is told of sessions; nil: there are none.
func (a *app) sessionAccount() *admin.Sessions {
	if a.sessions == nil {
		return nil
	}
	return admin.SessionsOf(a.sessions.keeper)
}

// checkSessionKeys says what is wrong with the keys. A file that will be made is not missing.
func checkSessionKeys(cfg *config.Config) error {
	file := cfg.Sessions.KeyFile
	if file == "" {
		return nil
	}
	if err := session.CheckRing(file); err != nil && (!errors.Is(err, fs.ErrNotExist) || !cfg.FreshSessionKeys()) {
		return fmt.Errorf("sessions.key_file: %w", err)
	}
	return nil
}
