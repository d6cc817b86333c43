package policysync_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
)

// slowStore is a store in memory that takes its time, fails now and then, and loses hints. Each read happens at one
// moment between call and return, as a linearizable one does.
type slowStore struct {
	policysync.Store // nil: the methods that a source does not need
	rand             *rand.Rand
	lag              time.Duration // a mutant if above 0: heads are read from a member that is so far behind

	mu      sync.Mutex // guards all, rand too
	heads   []published
	objects map[string][]byte
	hints   []chan struct{}
}

type published struct {
	raw []byte
	at  time.Time
}

var errAway = errors.New("the store is away")

// pass takes some time, and may be an error.
func (s *slowStore) pass(ctx context.Context) error {
	s.mu.Lock()
	d, fails := time.Duration(s.rand.Int64N(int64(300*time.Millisecond))), s.rand.IntN(6) == 0
	s.mu.Unlock()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fails {
		return errAway
	}
	return nil
}

func (s *slowStore) Name() string { return "slow store" }

func (s *slowStore) RawHead(ctx context.Context) ([]byte, error) {
	if err := s.pass(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	var raw []byte
	for _, h := range s.heads {
		if time.Since(h.at) >= s.lag {
			raw = h.raw
		}
	}
	s.mu.Unlock()
	if raw == nil {
		return nil, policysync.ErrNoPolicy
	}
	return raw, s.pass(ctx)
}

func (s *slowStore) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if err := s.pass(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.objects[hash]; ok {
		return b, nil
	}
	return nil, policysync.ErrGone
}

func (s *slowStore) Watch(ctx context.Context, _ policysync.Version) (<-chan struct{}, error) {
	hints := make(chan struct{}, 1)
	s.mu.Lock()
	s.hints = append(s.hints, hints)
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.hints {
			if s.hints[i] == hints {
				s.hints = append(s.hints[:i], s.hints[i+1:]...)
				break
			}
		}
		close(hints)
	})
	return hints, nil
}

// publish makes a version the newest, with one route that is named after it.
func (s *slowStore) publish(version uint64) {
	text := fmt.Sprintf("clusters: {c: {endpoints: [\"127.0.0.1:1\"]}}\nroutes:\n- {name: v%d, cluster: c, policy: [{allow: {and: [{accept: true}]}}]}\n", version)
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	raw, err := json.Marshal(policysync.Manifest{Version: version, Prev: version - 1, Objects: map[string]string{"a.yaml": hash}})
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[hash] = []byte(text)
	s.heads = append(s.heads, published{append(raw, '\n'), time.Now()})
	for _, hints := range s.hints {
		if s.rand.IntN(3) == 0 {
			continue // lost
		}
		select {
		case hints <- struct{}{}:
		default:
		}
	}
}

// ready remembers what was in force when it was told.
type ready struct {
	inForce *uint64
	mu      *sync.Mutex
	at      chan uint64
}

func (r ready) Ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at <- *r.inForce
}
func (ready) Waiting(error) {}

// join starts a replica at some moment of a series of publications, and returns the newest version at its start and the one
// that it had in force when it was ready. In the end it has the newest, whatever was lost.
func join(t *testing.T, seed uint64, lag time.Duration) (atStart, atReady uint64) {
	store := &slowStore{rand: rand.New(rand.NewPCG(seed, 0)), lag: lag, objects: map[string][]byte{}}
	var mu sync.Mutex
	var inForce, newest uint64
	told := ready{&inForce, &mu, make(chan uint64, 1)}
	s := policysync.New(policysync.Config{
		Source: policysync.FromStore(store, nil), Target: told, Poll: 2 * time.Second,
		Apply: func(_ context.Context, v policysync.Version, _ *policy.Document) error {
			mu.Lock()
			defer mu.Unlock()
			if v.Number < inForce {
				t.Errorf("seed %d: version %d came into force after %d", seed, v.Number, inForce)
			}
			inForce = v.Number
			return nil
		},
	})
	publisher := rand.New(rand.NewPCG(seed, 1))
	starts, last := 1+publisher.Uint64N(8), uint64(12)
	for version := uint64(1); version <= last; version++ {
		store.publish(version)
		newest = version
		if version == starts {
			time.Sleep(time.Duration(publisher.Int64N(int64(100 * time.Millisecond))))
			atStart = newest
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(publisher.Int64N(int64(400 * time.Millisecond))))
	}
	atReady = <-told.at
	for inForceIs(&mu, &inForce) != last {
		time.Sleep(100 * time.Millisecond) // in the bubble's time; a replica that never gets there is a deadlock of the test's own limit
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return atStart, atReady
}

func inForceIs(mu *sync.Mutex, v *uint64) uint64 {
	mu.Lock()
	defer mu.Unlock()
	return *v
}

// A replica that joins while others publish is never ready with an older version than the head that could be read
// after its start, whatever is slow, fails or is lost; and it arrives at the newest.
func TestNeverReadyWithAnOlderVersion(t *testing.T) {
	joins := uint64(120)
	if testing.Short() {
		joins = 50
	}
	for seed := range joins {
		synctest.Test(t, func(t *testing.T) {
			if atStart, atReady := join(t, seed, 0); atReady < atStart {
				t.Errorf("seed %d: ready with version %d, and %d was the newest at the start", seed, atReady, atStart)
			}
		})
	}
}

// The test can fail: heads of a member that is behind, which is what a serializable read gives, are found out.
func TestReadyWithAnOlderVersionIsSeen(t *testing.T) {
	found := 0
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			if atStart, atReady := join(t, seed, time.Second); atReady < atStart {
				found++
			}
		})
	}
	if found == 0 {
		t.Error("50 replicas that read old heads were never ready with an older version")
	}
}
