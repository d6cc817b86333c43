package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

// sharedStore is what the processes of a fleet share, reached by one client: policies, who there is, and which sessions
// are over. Another kind of store than etcd is one more implementation, and a word in openShared.
type sharedStore interface {
	Name() string // what and where it is: "etcd https://etcd-0:2379/sluice"
	Policies() policysync.Store
	Fleet() fleet.Store
	Revocations() session.Feed
	Close() error
}

// openShared opens the store of a configuration, which waits for nobody and is to be closed by the caller; nil without one.
func openShared(cfg *config.Config) (sharedStore, error) {
	if !cfg.Etcd.On() {
		return nil, nil
	}
	store, err := openEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return store, nil
}

// mustShared is openShared for commands that are of no use without a store.
func mustShared(cfg *config.Config) (sharedStore, error) {
	store, err := openShared(cfg)
	if err == nil && store == nil {
		err = errors.New("the configuration names no store: set etcd.endpoints")
	}
	return store, err
}

// openShared opens the one client of the process, if the configuration has a store.
func (a *app) openShared() error {
	store, err := openShared(a.cfg)
	if store != nil {
		a.shared = store
		a.manager.Register(sharedService{store}) // before all that use it: closed after them
	}
	return err
}

// checkShared reads what a start would read to open the client. It sends nothing.
func checkShared(cfg *config.Config) error {
	store, err := openShared(cfg)
	if store == nil {
		return err
	}
	return store.Close()
}

// sharedService closes the client at the end.
type sharedService struct{ store sharedStore }

func (sharedService) Name() string                { return "etcd" }
func (sharedService) Start(context.Context) error { return nil }
func (sharedService) Admit() error                { return nil }
func (sharedService) LameDuck()                   {}
func (sharedService) Drain(context.Context) error { return nil }
func (s sharedService) Close() error              { return s.store.Close() }
