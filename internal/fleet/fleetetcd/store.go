// Package fleetetcd keeps a fleet in etcd: a [fleet.Store] over the one client that a process has.
//
//	client, err := etcd.Open(cfg)
//	m := fleet.New(fleet.Config{Store: fleetetcd.New(client), ID: "edge-1"})
//
// Keys are replicas/<id> and drains/<id> below the prefix of the client, and lease is etcd's. Each call goes to etcd
// once, within its context and the client's limit; Look is one transaction, and so of one revision.
package fleetetcd

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

// Store is a fleet.Store in etcd.
type Store struct {
	client *etcd.Client
}

var _ fleet.Store = (*Store)(nil)

// New returns the store of a client, which stays the caller's.
func New(client *etcd.Client) *Store { return &Store{client} }

func (s *Store) key(kind fleet.Kind, id string) string { return s.client.Key(kind.String(), id) }

// lost says ErrLeaseLost for what etcd says of a lease that is over.
func lost(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fleet.ErrLeaseLost
	}
	return err
}

// Grant implements fleet.Store. etcd counts in whole seconds.
func (s *Store) Grant(ctx context.Context, ttl time.Duration) (id fleet.LeaseID, err error) {
	err = s.client.Write(ctx, func(ctx context.Context) error {
		r, err := s.client.Grant(ctx, max(1, int64(ttl/time.Second)))
		if err == nil {
			id = fleet.LeaseID(r.ID)
		}
		return err
	})
	return id, err
}

// Renew implements fleet.Store.
func (s *Store) Renew(ctx context.Context, lease fleet.LeaseID) error {
	return lost(s.client.Write(ctx, func(ctx context.Context) error {
		r, err := s.client.KeepAliveOnce(ctx, clientv3.LeaseID(lease))
		if err == nil && r.TTL <= 0 {
			return rpctypes.ErrLeaseNotFound
		}
		return err
	}))
}

// Set implements fleet.Store.
func (s *Store) Set(ctx context.Context, kind fleet.Kind, id string, value []byte, lease fleet.LeaseID) error {
	return lost(s.client.Write(ctx, func(ctx context.Context) error {
		_, err := s.client.Put(ctx, s.key(kind, id), string(value), clientv3.WithLease(clientv3.LeaseID(lease)))
		return err
	}))
}

// Unset implements fleet.Store.
func (s *Store) Unset(ctx context.Context, kind fleet.Kind, id string, lease fleet.LeaseID) error {
	key := s.key(kind, id)
	return s.client.Write(ctx, func(ctx context.Context) error {
		_, err := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.LeaseValue(key), "=", int64(lease))).
			Then(clientv3.OpDelete(key)).
			Commit()
		return err
	})
}

// Look implements fleet.Store.
func (s *Store) Look(ctx context.Context) (v fleet.View, err error) {
	err = s.client.Read(ctx, func(ctx context.Context) error {
		r, err := s.client.Txn(ctx).Then(s.all(fleet.Replicas), s.all(fleet.Drains)).Commit()
		if err != nil {
			return err
		}
		v = fleet.View{Revision: r.Header.Revision}
		for i, kind := range []fleet.Kind{fleet.Replicas, fleet.Drains} {
			prefix := s.key(kind, "")
			for _, kv := range r.Responses[i].GetResponseRange().Kvs {
				v.Entries = append(v.Entries, fleet.Entry{Kind: kind, ID: strings.TrimPrefix(string(kv.Key), prefix),
					Value: kv.Value, Lease: fleet.LeaseID(kv.Lease), Created: kv.CreateRevision})
			}
		}
		return nil
	})
	return v, err
}

func (s *Store) all(kind fleet.Kind) clientv3.Op {
	return clientv3.OpGet(s.key(kind, ""), clientv3.WithPrefix())
}

// Watch implements fleet.Store. An end that etcd brings about, as by a compaction, ends it; who waits looks anyway.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	hints := make(chan struct{}, 1)
	go func() { // ends with ctx, or when etcd ends the watch
		defer close(hints)
		// It is begun here, because that waits for a server.
		for range s.client.Watch(etcd.Watching(ctx), s.key(fleet.Drains, ""), clientv3.WithPrefix()) {
			select {
			case hints <- struct{}{}:
			default: // a hint is there
			}
		}
	}()
	return hints, nil
}
