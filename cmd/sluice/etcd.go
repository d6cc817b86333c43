package main

import (
	"context"
	"fmt"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/etcd"
)

// etcdConfig is what the client needs.
func etcdConfig(cfg *config.Config) etcd.Config {
	e := cfg.Etcd
	return etcd.Config{Endpoints: e.Endpoints, Prefix: e.Prefix, CAFile: e.CA, CertFile: e.Cert, KeyFile: e.Key,
		User: e.User, PasswordFile: e.Password, DialTimeout: e.DialTimeout, RequestTimeout: e.RequestTimeout}
}

// openEtcd opens the one client of the store that all parts of the process share, if the
// configuration has a store. It waits for nobody.
func (a *app) openEtcd() error {
	if !a.cfg.Etcd.On() {
		return nil
	}
	client, err := etcd.Open(etcdConfig(a.cfg))
	if err != nil {
		return err
	}
	a.etcd = client
	a.manager.Register(etcdService{client}) // before all that use it: closed after them
	return nil
}

// checkEtcd reads what a start would read to open the client. It sends nothing.
func checkEtcd(cfg *config.Config) error {
	if !cfg.Etcd.On() {
		return nil
	}
	client, err := etcd.Open(etcdConfig(cfg))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	return client.Close()
}

// etcdService closes the client at the end.
type etcdService struct{ client *etcd.Client }

func (etcdService) Name() string                { return "etcd" }
func (etcdService) Start(context.Context) error { return nil }
func (etcdService) Admit() error                { return nil }
func (etcdService) LameDuck()                   {}
func (etcdService) Drain(context.Context) error { return nil }
func (s etcdService) Close() error              { return s.client.Close() }
