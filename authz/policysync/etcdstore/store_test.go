package etcdstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/policysync/etcdstore"
	"github.com/sluiceproxy/sluice/authz/policysync/sourcetest"
	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far longer than anything here takes.
const patience = time.Minute

func client(t *testing.T, c *etcdtest.Cluster) *etcd.Client {
	t.Helper()
	client, err := etcd.Open(etcd.Config{Endpoints: c.Endpoints(), RequestTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestConformance(t *testing.T) {
	sourcetest.RunStore(t, func(t *testing.T) (policysync.Store, func(*testing.T) policysync.Store) {
		cluster := etcdtest.Start(t, 3)
		another := func(t *testing.T) policysync.Store { return etcdstore.New(client(t, cluster)) }
		return another(t), another
	})
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func swap(t *testing.T, s policysync.Store, number uint64) {
	t.Helper()
	old, err := s.RawHead(t.Context())
	if err != nil && !errors.Is(err, policysync.ErrNoPolicy) {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), old, fmt.Appendf(nil, "head %d", number), number); err != nil {
		t.Fatal(err)
	}
}

// More heads than one request brings are read as of one moment.
func TestManyHeads(t *testing.T) {
	s := etcdstore.New(client(t, etcdtest.Start(t, 1)))
	var present []byte
	for n := range uint64(37) {
		next, err := json.Marshal(policysync.Manifest{Version: n + 1, Objects: map[string]string{"a.yaml": sum("a")}})
		if err != nil {
			t.Fatal(err)
		}
		next = append(next, '\n')
		if err := s.Swap(t.Context(), present, next, n+1); err != nil {
			t.Fatal(err)
		}
		present = next
	}
	for limit, want := range map[int]int{0: 37, 1: 1, 16: 16, 17: 17, 33: 33, 40: 37} {
		list, err := s.Heads(t.Context(), limit)
		if err != nil || len(list) != want {
			t.Fatalf("limit %d: %d, %v", limit, len(list), err)
		}
		for i, raw := range list {
			if policysync.NumberOf(raw) != uint64(37-i) {
				t.Fatalf("limit %d: head %d is %q", limit, i, raw)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s := etcdstore.New(client(t, cluster))
	largest := strings.Repeat("x", etcdstore.MaxObject)
	if err := s.Put(t.Context(), sum(largest), []byte(largest)); err != nil {
		t.Error(err) // what is said to fit does
	}
	if err := s.Put(t.Context(), sum(largest+"x"), []byte(largest+"x")); !errors.Is(err, policysync.ErrTooLarge) || !strings.Contains(err.Error(), "at most 1556480") {
		t.Error(err)
	}
	head := []byte(strings.Repeat("x", etcdstore.MaxHead))
	if err := s.Swap(t.Context(), nil, head, 1); err != nil {
		t.Error(err)
	}
	if err := s.Swap(t.Context(), head, append(head, 'x'), 2); !errors.Is(err, policysync.ErrTooLarge) || !strings.Contains(err.Error(), "at most 770048") {
		t.Error(err)
	}
}

// An object that is not what its name says is written anew; a head without a byte is one.
func TestWrittenByHand(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	c := client(t, cluster)
	s := etcdstore.New(c)
	for key, value := range map[string]string{c.Key("objects", sum("one")): "two", c.Key("head"): ""} {
		if _, err := c.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), sum("one"), []byte("one")); err != nil {
		t.Error(err)
	}
	if b, err := s.Fetch(t.Context(), sum("one")); err != nil || string(b) != "one" {
		t.Errorf("%q, %v", b, err)
	}
	if err := s.Swap(t.Context(), nil, []byte("x"), 1); !errors.Is(err, policysync.ErrConflict) {
		t.Error(err)
	}
	swap(t, s, 1)
}

func TestFullStore(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s := etcdstore.New(client(t, cluster))
	swap(t, s, 1)
	cluster.Full(true)
	if err := s.Put(t.Context(), sum("a"), []byte("a")); err == nil || !strings.Contains(err.Error(), "NOSPACE") {
		t.Error(err)
	}
	if err := s.Swap(t.Context(), []byte("head 1"), []byte("head 2"), 2); err == nil || !strings.Contains(err.Error(), "NOSPACE") {
		t.Error(err)
	}
	if raw, err := s.RawHead(t.Context()); err != nil || string(raw) != "head 1" {
		t.Errorf("%q, %v", raw, err)
	}
}

// watching is a watch of a store; next waits for a hint after which the head is want.
func watching(t *testing.T, s policysync.Store) (next func(want string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	hints, err := s.Watch(ctx, policysync.Version{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range hints { // it is closed when everything is released
		}
	})
	return func(want string) {
		t.Helper()
		late := time.After(patience)
		for {
			select {
			case <-hints:
				if raw, err := s.RawHead(t.Context()); err == nil && string(raw) == want {
					return
				}
			case <-late:
				t.Fatalf("no hint after which the head is %q", want)
			}
		}
	}
}

// Whatever breaks a watch, the change is heard of.
func TestWatchHearsOfEveryChange(t *testing.T) {
	for name, during := range map[string]func(t *testing.T, c *etcdtest.Cluster, change func()){
		"nothing happens":    func(_ *testing.T, _ *etcdtest.Cluster, change func()) { change() },
		"connections break":  func(t *testing.T, c *etcdtest.Cluster, change func()) { change(); cut(t, c) },
		"away":               func(t *testing.T, c *etcdtest.Cluster, change func()) { c.Down(); c.Up(t); change() },
		"parted from others": func(_ *testing.T, c *etcdtest.Cluster, change func()) { part(c, true); part(c, false); change() },
		"slow": func(_ *testing.T, c *etcdtest.Cluster, change func()) {
			c.Member(0).Slow(100 * time.Millisecond)
			change()
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := etcdtest.Start(t, 3)
			s, publisher := etcdstore.New(client(t, cluster)), etcdstore.New(client(t, cluster))
			swap(t, publisher, 1)
			next := watching(t, s)
			next("head 1") // a new watch is a hint
			during(t, cluster, func() { publish(t, publisher, 2) })
			next("head 2")
		})
	}
}

// publish swaps until it worked: connections that broke take a request with them.
func publish(t *testing.T, s policysync.Store, number uint64) {
	t.Helper()
	for late := time.Now().Add(patience); ; {
		old, err := s.RawHead(t.Context())
		if err == nil {
			if want := fmt.Sprint("head ", number); string(old) == want {
				return
			} else if err = s.Swap(t.Context(), old, []byte(want), number); err == nil {
				return
			}
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

func cut(t *testing.T, c *etcdtest.Cluster) {
	for i := range c.Endpoints() {
		c.Member(i).Cut(t)
	}
}

func part(c *etcdtest.Cluster, apart bool) {
	for i := range c.Endpoints() {
		c.Member(i).Part(apart)
	}
}

// History that is gone when a watch comes back is no reason to miss what happened in it.
func TestCompactedWhileAway(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	c := client(t, cluster)
	s := etcdstore.New(c)
	swap(t, s, 1)
	next := watching(t, s)
	next("head 1")
	cluster.Member(0).Part(true) // events are held back
	cluster.Put(c.Key("head"), "head 2")
	cluster.Put(c.Key("head"), "head 3")
	cluster.Compact(t)
	cluster.Member(0).Down()
	cluster.Member(0).Part(false)
	cluster.Member(0).Up(t)
	next("head 3")
}

// A member that does not have an object yet is not believed that there is none.
func TestFetchAsksAnyMemberFirst(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s := etcdstore.New(client(t, cluster))
	if err := s.Put(t.Context(), sum("a"), []byte("a")); err != nil {
		t.Fatal(err)
	}
	before := cluster.Member(0).Asked("Range")
	if _, err := s.Fetch(t.Context(), sum("a")); err != nil || cluster.Member(0).Asked("Range")-before != 1 {
		t.Errorf("%v after %d requests", err, cluster.Member(0).Asked("Range")-before)
	}
	if _, err := s.Fetch(t.Context(), sum("b")); !errors.Is(err, policysync.ErrGone) || cluster.Member(0).Asked("Range")-before != 3 {
		t.Errorf("%v after %d requests", err, cluster.Member(0).Asked("Range")-before)
	}
	cluster.Member(0).Part(true) // objects are there without a leader
	if _, err := s.Fetch(t.Context(), sum("a")); err != nil {
		t.Error(err)
	}
}
