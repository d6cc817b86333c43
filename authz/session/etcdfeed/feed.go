// Package etcdfeed shares a list of revocations through etcd: a [session.Feed] over the one client that a process has.
//
//	list := session.NewList(session.ListConfig{File: file, Feed: etcdfeed.New(client)})
//
// Each revocation is a key of its own, revocations/<hash of its line> below the prefix of the client, bound to a lease that
// ends when no session is left that it may be about. Nothing is ever replaced or taken back, so a point in the feed is a
// revision, and what came since is what was created later: read at one revision, linearizably, page by page. A watch is a hint.
package etcdfeed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/internal/etcd"
)

// page is how many revocations are read at a time.
const page = 2000

// Feed is a session.Feed in etcd.
type Feed struct {
	client *etcd.Client
}

var _ session.Feed = (*Feed)(nil)

// New returns the feed of a client, which stays the caller's.
func New(client *etcd.Client) *Feed { return &Feed{client} }

// Name implements session.Feed.
func (f *Feed) Name() string { return f.client.Name() }

// Since implements session.Feed.
func (f *Feed) Since(ctx context.Context, after int64) (lines [][]byte, now int64, err error) {
	prefix := f.client.Key("revocations", "")
	end := clientv3.GetPrefixRangeEnd(prefix)
	for from := prefix; ; {
		options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithMinModRev(after + 1)}
		if now > 0 {
			options = append(options, clientv3.WithRev(now)) // all pages are of one revision
		}
		var r *clientv3.GetResponse
		if err := f.client.Read(ctx, func(ctx context.Context) (err error) {
			r, err = f.client.Get(ctx, from, options...)
			return err
		}); err != nil {
			return nil, 0, err
		}
		if now == 0 {
			now = r.Header.Revision
		}
		for _, kv := range r.Kvs {
			lines = append(lines, kv.Value)
		}
		if !r.More || len(r.Kvs) == 0 {
			return lines, now, nil
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}

// Publish implements session.Feed. A lease of its own ends it.
func (f *Feed) Publish(ctx context.Context, line []byte, lasts time.Duration) error {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	sum := sha256.Sum256(line)
	key := f.client.Key("revocations", hex.EncodeToString(sum[:16]))
	var lease clientv3.LeaseID
	if err := f.client.Write(ctx, func(ctx context.Context) error {
		r, err := f.client.Grant(ctx, int64(lasts/time.Second)+1)
		if err == nil {
			lease = r.ID
		}
		return err
	}); err != nil {
		return err
	}
	kept := false
	err := f.client.Write(ctx, func(ctx context.Context) error {
		r, err := f.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, string(line), clientv3.WithLease(lease))).Commit()
		kept = err == nil && r.Succeeded
		return err
	})
	if !kept { // the lease is of nothing, and would last as long as sessions do
		_ = f.client.Write(context.WithoutCancel(ctx), func(ctx context.Context) error {
			_, err := f.client.Revoke(ctx, lease)
			return err
		})
	}
	return err
}

// Watch implements session.Feed.
func (f *Feed) Watch(ctx context.Context) <-chan struct{} {
	hints := make(chan struct{}, 1)
	go func() { // ends with ctx, or when etcd ends the watch
		defer close(hints)
		prefix := f.client.Key("revocations", "")
		for range f.client.Watch(etcd.Watching(ctx), prefix, clientv3.WithPrefix(), clientv3.WithFilterDelete()) {
			select {
			case hints <- struct{}{}:
			default: // a hint is there
			}
		}
	}()
	return hints
}
