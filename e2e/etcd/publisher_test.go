package etcd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/policysync/etcdstore"
	"github.com/sluiceproxy/sluice/internal/etcd"
)

// publisher signs versions. Version n has the routes /always and /v<n>: that the one before is gone is a deletion that somebody could miss.
type publisher struct {
	store    policysync.Store
	key      minisign.PrivateKey
	keys     string // file of the public key
	upstream string
	version  uint64
	hashes   map[string]bool // of all versions that were signed
}

// newPublisher is one that publishes to etcd.
func newPublisher(t *testing.T, e *ensemble, upstream string) *publisher {
	t.Helper()
	var own []string
	for _, m := range e.members {
		own = append(own, m.client)
	}
	client, err := etcd.Open(etcd.Config{Endpoints: own})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return publisherTo(t, etcdstore.New(client), upstream)
}

func publisherTo(t *testing.T, store policysync.Store, upstream string) *publisher {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := public.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{store: store, key: private, keys: filepath.Join(t.TempDir(), "keys.pub"), upstream: upstream, hashes: map[string]bool{}}
	if err := os.WriteFile(p.keys, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// next makes the version after the last one: its raw head, its one object, and the hash that replicas call it by.
func (p *publisher) next() (raw, object []byte, hash string) {
	object = fmt.Appendf(nil, `clusters: {app: {endpoints: [%q]}}
routes:
- {name: always, path: {exact: /always}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: v%d, path: {exact: /v%d}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
`, p.upstream, p.version+1, p.version+1)
	manifest, err := json.Marshal(policysync.Manifest{Version: p.version + 1, Prev: p.version, Created: time.Now().UTC(), Objects: map[string]string{"a.yaml": sum(object)}})
	if err != nil {
		panic(err)
	}
	manifest = append(manifest, '\n')
	raw = policysync.JoinHead(manifest, minisign.Sign(p.key, manifest))
	return raw, object, sum(manifest)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// try publishes the next version once. What became of an error is for the caller to find out.
func (p *publisher) try(ctx context.Context, raw, object []byte) error {
	old, err := p.store.RawHead(ctx)
	if errors.Is(err, policysync.ErrNoPolicy) {
		old, err = nil, nil
	}
	switch {
	case err != nil:
		return err
	case bytes.Equal(old, raw):
		return nil // the answer to the last attempt was lost
	}
	if err := p.store.Put(ctx, sum(object), object); err != nil {
		return err
	}
	return p.store.Swap(ctx, old, raw, p.version+1)
}

// publish publishes the next version, however often it takes, and returns its hash.
func (p *publisher) publish(t *testing.T) (hash string) {
	t.Helper()
	raw, object, hash := p.next()
	p.hashes[hash] = true
	eventually(t, "published", func(ctx context.Context) error { return p.try(ctx, raw, object) })
	p.version++
	return hash
}

// converged waits until every replica serves the last version, and no route of the one before.
func (p *publisher) converged(t *testing.T, replicas []*replica) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for _, r := range replicas {
		eventually(t, fmt.Sprintf("%s serves version %d", r.name, p.version), func(context.Context) error {
			is := status(client, fmt.Sprintf("http://%s/v%d", r.web, p.version))
			was := status(client, fmt.Sprintf("http://%s/v%d", r.web, p.version-1))
			if is != 200 || was != 404 {
				return fmt.Errorf("it answers %d for this one and %d for the one before", is, was)
			}
			return nil
		})
	}
}

// judge holds against all replicas what has to be true at any time.
func (p *publisher) judge(t *testing.T, replicas []*replica) {
	t.Helper()
	for _, r := range replicas {
		r.mu.Lock()
		for hash := range r.inForce {
			if !p.hashes[hash] {
				t.Errorf("%s had %.12s in force, which nobody signed", r.name, hash)
			}
		}
		if len(r.failed) > 0 {
			t.Errorf("%s: of %d requests and probes %d went wrong: %v", r.name, r.served, len(r.failed), r.failed[:min(3, len(r.failed))])
		}
		r.failed = nil
		r.mu.Unlock()
	}
}
