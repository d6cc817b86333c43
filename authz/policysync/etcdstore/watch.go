package etcdstore

import (
	"context"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/internal/etcd"
)

// Times between two watches, of which the first ended with an error. A fleet loses its
// watches at one moment, so that each waits a part of it at random.
const (
	rewatchFirst = 100 * time.Millisecond // doubled up to rewatchMax
	rewatchMax   = 5 * time.Second
)

// Watch gives a hint whenever the head may have changed: when it did, and with each new watch,
// because what happened before that is not known. It is no error that the store is away.
func (s *Store) Watch(ctx context.Context, _ policysync.Version) (<-chan struct{}, error) {
	hints := make(chan struct{}, 1)
	// Owned by the caller through ctx; joined by the close of hints.
	go s.watch(ctx, hints)
	return hints, nil
}

func (s *Store) watch(ctx context.Context, hints chan<- struct{}) {
	defer close(hints)
	wait := rewatchFirst
	for ctx.Err() == nil {
		if s.watchOnce(ctx, hints) {
			wait = rewatchFirst
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, rewatchMax)
	}
}

// watchOnce passes on what one watch says until it ends, and reports whether it had begun. The client
// resumes it by itself where it stopped, as long as the history is there.
func (s *Store) watchOnce(ctx context.Context, hints chan<- struct{}) (began bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.client.Client.Watch(etcd.Watching(ctx), s.client.Key("head"), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
	for e := range events {
		began = began || e.Created
		if e.IsProgressNotify() {
			continue
		}
		select {
		case hints <- struct{}{}: // also for an error: whatever it was, the head says what is
		default: // one is waiting to be taken
		}
	}
	return began
}
