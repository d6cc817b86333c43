package etcdstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/internal/etcd"
)

// Limits, in bytes: what fits into one request of 1.5 MiB, with keys and framing.
const (
	maxRequest = 1536 << 10
	MaxObject  = maxRequest - 16<<10
	MaxHead    = maxRequest/2 - 16<<10
)

// headsAtOnce is how many heads one request asks for.
const headsAtOnce = 16

// Store is a prefix of etcd as a store of policies.
type Store struct{ client *etcd.Client }

var _ policysync.Store = (*Store)(nil)

// New returns the store that a client reaches. It sends nothing.
func New(client *etcd.Client) *Store { return &Store{client} }

// Name returns "etcd <endpoints><prefix>".
func (s *Store) Name() string { return s.client.Name() }

// RawHead reads the head from the leader's view.
func (s *Store) RawHead(ctx context.Context) ([]byte, error) {
	raw, _, err := s.head(ctx)
	return raw, err
}

// head reads the head and the revision that wrote it.
func (s *Store) head(ctx context.Context) ([]byte, int64, error) {
	found, err := s.get(ctx, s.client.Key("head"))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("read head: %w", err)
	case len(found.Kvs) == 0:
		return nil, 0, fmt.Errorf("%w: %s has no head", policysync.ErrNoPolicy, s.Name())
	case len(found.Kvs[0].Value) > policysync.MaxRawHead:
		return nil, 0, fmt.Errorf("%w: the head has %d bytes; at most %d", policysync.ErrTooLarge, len(found.Kvs[0].Value), policysync.MaxRawHead)
	}
	raw := found.Kvs[0].Value
	if raw == nil {
		raw = []byte{} // a head without a byte is one
	}
	return raw, found.Kvs[0].ModRevision, nil
}

func (s *Store) get(ctx context.Context, key string, options ...clientv3.OpOption) (found *clientv3.GetResponse, err error) {
	err = s.client.Read(ctx, func(ctx context.Context) error {
		found, err = s.client.Get(ctx, key, options...)
		return err
	})
	return found, explain(err)
}

// Fetch reads an object from any member: it never changes. One that does not have it may only be
// behind, so that then the leader's view counts.
func (s *Store) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if !isHash(hash) {
		return nil, fmt.Errorf("%q is not a SHA-256 hash", hash)
	}
	key := s.client.Key("objects", hash)
	found, err := s.get(ctx, key, clientv3.WithSerializable())
	if err == nil && len(found.Kvs) == 0 {
		found, err = s.get(ctx, key)
	}
	switch {
	case err != nil:
		return nil, err
	case len(found.Kvs) == 0:
		return nil, fmt.Errorf("%w: objects/%s", policysync.ErrGone, hash)
	case len(found.Kvs[0].Value) > policy.MaxSize:
		return nil, fmt.Errorf("%w: object %.12s has %d bytes; a policy has at most %d", policysync.ErrTooLarge, hash, len(found.Kvs[0].Value), policy.MaxSize)
	}
	return found.Kvs[0].Value, nil
}

// Put writes an object that is not there.
func (s *Store) Put(ctx context.Context, hash string, b []byte) error {
	if !isHash(hash) {
		return fmt.Errorf("%q is not a SHA-256 hash", hash)
	}
	if len(b) > MaxObject {
		return fmt.Errorf("%w: object %.12s has %d bytes; etcd takes at most %d in one request: split the file", policysync.ErrTooLarge, hash, len(b), MaxObject)
	}
	key := s.client.Key("objects", hash)
	var done *clientv3.TxnResponse
	err := s.client.Write(ctx, func(ctx context.Context) (err error) {
		done, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, string(b))).Else(clientv3.OpGet(key)).Commit()
		return err
	})
	if err == nil && !done.Succeeded && !holds(done, b) { // damaged, or written by hand
		err = s.client.Write(ctx, func(ctx context.Context) error {
			_, err := s.client.Client.Put(ctx, key, string(b))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("put object %.12s: %w", hash, explain(err))
	}
	return nil
}

// holds reports whether the first answer of a transaction is a key with those bytes.
func holds(r *clientv3.TxnResponse, b []byte) bool {
	kvs := r.Responses[0].GetResponseRange().GetKvs()
	return len(kvs) == 1 && bytes.Equal(kvs[0].Value, b)
}

// Swap replaces the head in one transaction, if the revision that wrote old is the last one.
func (s *Store) Swap(ctx context.Context, old, next []byte, number uint64) error {
	if len(next) > MaxHead {
		return fmt.Errorf("%w: the head has %d bytes; etcd takes at most %d: put more rules into one file", policysync.ErrTooLarge, len(next), MaxHead)
	}
	now, revision, err := s.head(ctx)
	switch {
	case errors.Is(err, policysync.ErrNoPolicy):
		now, revision = nil, 0 // a key that is not there has revision 0
	case err != nil:
		return fmt.Errorf("swap head: %w", err)
	}
	if (now == nil) != (old == nil) || !bytes.Equal(now, old) {
		return policysync.ErrConflict
	}
	head := s.client.Key("head")
	var done *clientv3.TxnResponse
	err = s.client.Write(ctx, func(ctx context.Context) (err error) {
		done, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(head), "=", revision)).
			Then(clientv3.OpPut(head, string(next)), clientv3.OpPut(s.headKey(number), string(next))).Commit()
		return err
	})
	if err != nil {
		return fmt.Errorf("swap head: %w", explain(err))
	}
	if !done.Succeeded {
		return policysync.ErrConflict
	}
	return nil
}

// headKey is a key below heads: they sort as numbers do.
func (s *Store) headKey(number uint64) string {
	return s.client.Key("heads", fmt.Sprintf("%020d", number))
}

// Heads reads the head, and then the keys below heads, all of these as of one revision.
func (s *Store) Heads(ctx context.Context, limit int) ([][]byte, error) {
	present, _, err := s.head(ctx)
	if errors.Is(err, policysync.ErrNoPolicy) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	first := s.client.Key("heads", "")
	end := clientv3.GetPrefixRangeEnd(first)
	revision := int64(0)
	list := [][]byte{present}
	for limit == 0 || len(list) < limit {
		found, err := s.get(ctx, first, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(headsAtOnce),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
		if err != nil {
			return nil, fmt.Errorf("read heads: %w", err)
		}
		for _, kv := range found.Kvs {
			end = string(kv.Key)
			if n := policysync.NumberOf(kv.Value); n == 0 || end != s.headKey(n) || bytes.Equal(kv.Value, present) {
				continue // nobody published that as this, or it is first already
			}
			if list = append(list, kv.Value); len(list) == limit {
				break
			}
		}
		if !found.More {
			break
		}
		revision = found.Header.Revision
	}
	return list, nil
}

// explain says what to do about errors that somebody has to do something about.
func explain(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: this etcd takes less in one request (--max-request-bytes): %w", policysync.ErrTooLarge, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("etcd takes no writes, it has no space (alarm NOSPACE: compact, defragment, then etcdctl alarm disarm): %w", err)
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("the user of the configuration may not do this (etcd.user): %w", err)
	}
	return err
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}
