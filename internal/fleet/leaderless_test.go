package fleet

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// leaderless is a store whose members have no leader: looks fail, and watches end at once.
type leaderless struct {
	*Memory
	watches atomic.Int64
}

func (l *leaderless) Look(context.Context) (View, error) { return View{}, errors.New("no leader") }

func (l *leaderless) Watch(context.Context) (<-chan struct{}, error) {
	l.watches.Add(1)
	c := make(chan struct{})
	close(c)
	return c, nil
}

// Who waits for a turn does not storm a store that has just lost its leader.
func TestNoStormOfWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leaderless{Memory: NewMemory(time.Now)}
		m := New(Config{Store: s, ID: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		wait, stop := context.WithTimeout(ctx, 4*time.Second)
		m.Turn(wait, "stop")
		stop()
		cancel()
		<-done
		if n := s.watches.Load(); n == 0 || n > 8 {
			t.Errorf("%d watches in four seconds", n)
		}
	})
}

// full is a store that takes no more than it has: it renews and shows, and keeps nothing new.
type full struct {
	*Memory
	is atomic.Bool
}

func (f *full) Set(ctx context.Context, k Kind, id string, value []byte, lease LeaseID) error {
	if f.is.Load() {
		return errors.New("no space")
	}
	return f.Memory.Set(ctx, k, id, value, lease)
}

// A store that answers only half of what it is asked keeps nobody for longer than one that answers nothing.
func TestAStoreThatHalfAnswersKeepsNobody(t *testing.T) {
	for name, broken := range map[string]func() (Store, func()){
		"looks fail":  func() (Store, func()) { return &leaderless{Memory: NewMemory(time.Now)}, func() {} },
		"writes fail": func() (Store, func()) { f := &full{Memory: NewMemory(time.Now)}; return f, func() { f.is.Store(true) } },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, breaks := broken()
				m := New(Config{Store: s, ID: "a", TTL: 9 * time.Second}) // renewed more often than that is long
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); m.Run(ctx) }()
				m.Tell(Facts{State: "serving", Ready: true})
				time.Sleep(time.Minute)
				breaks()
				wait, stop := context.WithTimeout(ctx, time.Hour)
				began := time.Now()
				if got := m.Turn(wait, "SIGTERM"); got != OutcomeAway {
					t.Errorf("told %v", got)
				}
				if took := time.Since(began); took < AwayAfter || took > AwayAfter+2*time.Second {
					t.Errorf("after %v", took)
				}
				stop()
				cancel()
				<-done
			})
		})
	}
}
