package e2e

import (
	"sync"
	"time"
)

// stalls watches for how long this machine keeps a process waiting that wants to run: what a load says of a proxy while
// it does, it says of the machine.
type stalls struct {
	quit    chan struct{} // closed by finish
	running sync.WaitGroup
	most    time.Duration // owned by watch until it has ended
}

func watchStalls() *stalls {
	s := &stalls{quit: make(chan struct{})}
	s.running.Go(s.watch) // ends with quit
	return s
}

func (s *stalls) watch() {
	const pace = 5 * time.Millisecond
	for last := time.Now(); ; {
		select {
		case <-s.quit:
			return
		case <-time.After(pace):
		}
		now := time.Now()
		s.most = max(s.most, now.Sub(last)-pace)
		last = now
	}
}

// finish is the longest one.
func (s *stalls) finish() time.Duration {
	close(s.quit)
	s.running.Wait()
	return s.most
}
