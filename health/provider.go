package health

import (
	"cmp"
	"slices"
	"sync"
)

// Provider tells somebody outside: systemd, a gRPC watcher, metrics.
type Provider interface {
	// Deliver brings one change. Calls come one at a time, in order. It must return;
	// while it does not, newer changes wait and only the latest of each check is kept.
	// It must not detach its own subscription.
	Deliver(Change)
}

// Change is one change: exactly one of the two is set.
type Change struct {
	Process *ProcessReport
	Check   *Check
}

// Subscription is a provider attached to a registry.
type Subscription struct {
	r *Registry
	p Provider

	wake chan struct{} // of capacity 1, sent to by Registry under mu, never closed
	stop chan struct{} // closed by Detach, once
	done chan struct{} // closed by deliver when it returns
	once sync.Once
}

// Attach replays the whole state to p (the process first, then each check in the order
// of its last change) and delivers every change from then on, in order, from one
// goroutine. Detach or Close ends that.
// After Close the state is still replayed, and nothing follows.
func (r *Registry) Attach(p Provider) *Subscription {
	s := &Subscription{
		r: r, p: p,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.wake <- struct{}{} // for the replay
	r.mu.Lock()
	r.subs = append(r.subs, s)
	closed := r.closed
	r.mu.Unlock()
	// Owned by the subscription; stopped and joined by Detach.
	go s.deliver()
	if closed {
		s.Detach()
	}
	return s
}

// deliver runs until Detach. Before it returns it delivers what is pending, so that a
// provider has seen the last state.
func (s *Subscription) deliver() {
	defer close(s.done)
	seen := uint64(0)
	for {
		select {
		case <-s.wake:
			seen = s.catchUp(seen)
		case <-s.stop:
			s.catchUp(seen)
			return
		}
	}
}

// catchUp delivers what is newer than seen, in the order of change, and returns the
// number of the newest. A check that changed twice is delivered once, at the place of
// its latest change; that is what bounds the memory of a slow provider.
func (s *Subscription) catchUp(seen uint64) uint64 {
	type numbered struct {
		seq uint64
		Change
	}
	var changes []numbered
	s.r.mu.Lock()
	if v := s.r.process; v.seq > seen {
		report := v.value
		at := v.seq
		if seen == 0 {
			at = 0 // a replay begins with the process
		}
		changes = append(changes, numbered{at, Change{Process: &report}})
	}
	for _, v := range s.r.checks {
		if v.seq > seen {
			check := v.value
			changes = append(changes, numbered{v.seq, Change{Check: &check}})
		}
	}
	newest := s.r.seq
	s.r.mu.Unlock()

	slices.SortFunc(changes, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	for _, c := range changes {
		s.p.Deliver(c.Change)
	}
	return newest
}

// Detach delivers what is pending, then ends the subscription and waits for its
// goroutine. A second call only waits.
func (s *Subscription) Detach() {
	s.once.Do(func() {
		s.r.mu.Lock()
		s.r.subs = slices.DeleteFunc(s.r.subs, func(o *Subscription) bool { return o == s })
		s.r.mu.Unlock()
		close(s.stop)
	})
	<-s.done
}

// Close detaches every provider. The registry still answers afterwards.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	subs := slices.Clone(r.subs)
	r.mu.Unlock()
	for _, s := range subs {
		s.Detach()
	}
}

// wake tells each subscription that something changed. Call with mu held.
func (r *Registry) wake() {
	for _, s := range r.subs {
		select {
		case s.wake <- struct{}{}:
		default: // it has not looked since the last time: it will see this too
		}
	}
}
