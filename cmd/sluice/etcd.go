//go:build !noetcd

package main

import (
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/policysync/etcdstore"
	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/authz/session/etcdfeed"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/internal/fleet/fleetetcd"
)

// etcdShared is a prefix of etcd. The tag noetcd leaves this file out, and with it the client and all that this needs.
type etcdShared struct{ client *etcd.Client }

func openEtcd(cfg *config.Config) (sharedStore, error) {
	e := cfg.Etcd
	client, err := etcd.Open(etcd.Config{Endpoints: e.Endpoints, Prefix: e.Prefix, CAFile: e.CA, CertFile: e.Cert, KeyFile: e.Key,
		User: e.User, PasswordFile: e.Password, DialTimeout: e.DialTimeout, RequestTimeout: e.RequestTimeout})
	if err != nil {
		return nil, err
	}
	return etcdShared{client}, nil
}

func (s etcdShared) Name() string               { return s.client.Name() }
func (s etcdShared) Policies() policysync.Store { return etcdstore.New(s.client) }
func (s etcdShared) Fleet() fleet.Store         { return fleetetcd.New(s.client) }
func (s etcdShared) Revocations() session.Feed  { return etcdfeed.New(s.client) }
func (s etcdShared) Close() error               { return s.client.Close() }
