package etcdfeed

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what takes milliseconds on a machine that is not busy.
const patience = 30 * time.Second

func open(t *testing.T, c *etcdtest.Cluster) *etcd.Client {
	t.Helper()
	client, err := etcd.Open(etcd.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// A point in the feed misses nothing, over pages too, and the same line again is one.
func TestSince(t *testing.T) {
	f := New(open(t, etcdtest.Start(t, 1)))
	publish := func(text string) {
		t.Helper()
		if err := f.Publish(t.Context(), []byte(text+"\n"), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	since := func(after int64) (map[string]bool, int64) {
		t.Helper()
		lines, now, err := f.Since(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, l := range lines {
			if seen[string(l)] {
				t.Errorf("%s came twice", l)
			}
			seen[string(l)] = true
		}
		return seen, now
	}
	if seen, _ := since(0); len(seen) != 0 {
		t.Errorf("an empty feed has %v", seen)
	}
	publish("one")
	publish("one")
	seen, point := since(0)
	if len(seen) != 1 || !seen["one"] {
		t.Errorf("%v", seen)
	}
	for i := range page + 10 {
		if _, err := f.client.Put(t.Context(), f.client.Key("revocations", fmt.Sprintf("%06d", i)), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if seen, _ = since(point); len(seen) != page+10 || seen["one"] {
		t.Errorf("%d since then", len(seen))
	}
	if seen, _ = since(0); len(seen) != page+11 {
		t.Errorf("%d in all", len(seen))
	}
}

// node is a replica: a list with a file of its own.
func node(t *testing.T, c *etcdtest.Cluster, file string, deny bool) *session.List {
	t.Helper()
	l := session.NewList(session.ListConfig{File: file, Feed: New(open(t, c)), FeedStaleness: 2 * time.Second, FeedDeny: deny})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { l.Run(ctx); done <- struct{}{} }()     // ends with the test
	go func() { l.RunFeed(ctx); done <- struct{}{} }() // the same
	t.Cleanup(func() { cancel(); <-done; <-done })
	return l
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not within patience: " + what)
		}
	}
}

// What one replica revokes all others have, on their disks too; also what was revoked while the store was away, and before a
// restart.
func TestRevocationsReachAllReplicas(t *testing.T) {
	cluster, dir := etcdtest.Start(t, 1), t.TempDir()
	file := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	a, b := node(t, cluster, file(1), false), node(t, cluster, file(2), false)
	revoke := func(l *session.List, user string) {
		t.Helper()
		if err := l.Add(t.Context(), session.Revocation{Kind: session.Sub, Issuer: "https://id", Value: user}); err != nil {
			t.Fatal(err)
		}
	}
	has := func(l *session.List, n int) func() bool { return func() bool { return l.Status().Entries == n } }
	revoke(a, "ada")
	if err := a.AwaitFeed(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "b has it", has(b, 1))
	cluster.Down()
	until(t, "b sees that the store is away", func() bool { s, _ := b.FeedStatus(); return s.Err != nil && s.TooStale && !s.Denies })
	revoke(b, "bob") // in force and on disk there, whatever the store does
	cluster.Up(t)
	until(t, "a has what b revoked meanwhile", has(a, 2))
	until(t, "b is well", func() bool { s, _ := b.FeedStatus(); return s.Err == nil && !s.TooStale && !s.Pending })
	until(t, "a has it on disk", func() bool { return a.Status().Pending == 0 && a.Status().Lines >= 2 })
	// One that comes later, and one that only has the file of a.
	until(t, "a new one has both", has(node(t, cluster, file(3), false), 2))
	alone := session.NewList(session.ListConfig{File: file(1)})
	if err := alone.Sync(); err != nil || alone.Status().Entries != 2 {
		t.Errorf("on the disk of a: %d, %v", alone.Status().Entries, err)
	}
}

// With deny, no session is let in before the feed was read, nor when that is too long ago; and again as soon as it is.
func TestAFeedThatIsMissing(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	cluster.Down()
	l := node(t, cluster, filepath.Join(t.TempDir(), "list"), true)
	denies := func(want bool) func() bool {
		return func() bool { s, _ := l.FeedStatus(); return s.Denies == want }
	}
	if !denies(true)() {
		t.Error("sessions are let in before the feed was read")
	}
	cluster.Up(t)
	until(t, "let in", denies(false))
	cluster.Down()
	until(t, "not let in", denies(true))
	until(t, "and says why", func() bool { s, _ := l.FeedStatus(); return s.Err != nil && s.TooStale })
}

// A line that is none may have ended anything: the feed counts as not read until it is gone.
func TestADamagedFeed(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	client := open(t, cluster)
	key := client.Key("revocations", "bad")
	if _, err := client.Put(t.Context(), key, `{"kind":"everything"}`); err != nil {
		t.Fatal(err)
	}
	l := node(t, cluster, "", true)
	until(t, "it is found", func() bool { s, _ := l.FeedStatus(); return s.Err != nil })
	if s, _ := l.FeedStatus(); !s.Denies || !strings.Contains(s.Err.Error(), "not a revocation") {
		t.Errorf("%+v", s)
	}
	if _, err := client.Delete(t.Context(), key, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	until(t, "let in", func() bool { s, _ := l.FeedStatus(); return !s.Denies && s.Err == nil })
}
