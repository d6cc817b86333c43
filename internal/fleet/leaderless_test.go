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
