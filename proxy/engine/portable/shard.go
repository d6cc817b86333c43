package portable

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

// shard is one loop: a mutex instead of a thread. Whoever has something for the
// handler takes the mutex, calls it, and lets go.
type shard struct {
	d     *Driver
	index int
	load  atomic.Int64 // open connections, for the choice of a shard

	mu     sync.Mutex // guards what follows and every handler call
	h      engine.Handler
	now    time.Time // read at enter
	conns  []*conn   // by slot; nil is free
	gens   []int     // by slot: the last generation used
	free   []int
	timers wheel.Wheel
	closed bool

	workers chan struct{} // a place for each running Ask

	// wake is a hint for serve that posts or timers changed. Never closed.
	wake chan struct{}
	// postMu guards posts and deaf. Apart from mu, so that Post may be called from within a
	// handler call of this very shard.
	postMu sync.Mutex
	posts  []any
	deaf   bool      // nobody will read posts any more
	sleep  time.Time // when serve wakes by itself; zero: not before it is woken. Guarded by mu
	early  bool      // a timer was armed that ends before sleep. Guarded by mu
}

func (s *shard) enter() {
	s.mu.Lock()
	s.now = time.Now()
}

// leave lets go, and wakes serve if a timer now ends before it would wake by itself.
func (s *shard) leave() {
	early := s.early
	s.early = false
	s.mu.Unlock()
	if early {
		s.nudge()
	}
}

// wait is c.Wait, but lets go of mu as leave does: a timer that the call before armed
// must not be forgotten while the goroutine waits.
func (s *shard) wait(c *sync.Cond) {
	if s.early {
		s.early = false
		s.nudge()
	}
	c.Wait()
	s.now = time.Now()
}

func (s *shard) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shard) post(v any) {
	s.postMu.Lock()
	if !s.deaf {
		s.posts = append(s.posts, v)
	}
	s.postMu.Unlock()
	s.nudge()
}

// serve delivers posts and timers. Owner: Driver; ends when the driver's context does.
func (s *shard) serve() {
	defer s.d.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.postMu.Lock()
		posts := s.posts
		s.posts = nil
		s.postMu.Unlock()

		s.mu.Lock()
		s.now = time.Now()
		if s.closed {
			s.mu.Unlock()
			return
		}
		for _, v := range posts {
			s.h.Notice(v)
		}
		for n := s.timers.Pop(s.now); n != nil; n = s.timers.Pop(s.now) {
			c := n.Owner.(*conn)
			s.h.Fired(c.id, engine.Timer(n.Kind))
		}
		next, ok := s.timers.Next()
		s.sleep = time.Time{}
		if ok {
			s.sleep = next
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		s.mu.Unlock()

		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.d.ctx.Done():
			// shutdown has the rest; it sets closed under mu.
			return
		}
	}
}

// shutdown closes every connection by force. Each gets its Closed from its own goroutines.
func (s *shard) shutdown() {
	s.postMu.Lock()
	s.deaf, s.posts = true, nil
	s.postMu.Unlock()
	s.enter()
	defer s.leave()
	s.closed = true
	for _, c := range s.conns {
		switch {
		case c == nil:
		case c.closing && c.broken == nil && c.cancelDial == nil && c.nc != nil && len(c.out)+c.writing == 0:
			c.fail(net.ErrClosed) // the kernel has all of it: a reset would take that back
		default:
			c.abort()
		}
	}
}

// alloc makes a connection with a fresh ID.
func (s *shard) alloc() *conn {
	var slot int
	if n := len(s.free); n > 0 {
		slot, s.free = s.free[n-1], s.free[:n-1]
	} else {
		slot = len(s.conns)
		s.conns, s.gens = append(s.conns, nil), append(s.gens, 0)
	}
	s.gens[slot] = engine.NextGen(s.gens[slot])
	c := newConn(s, engine.MakeConnID(s.index, s.gens[slot], slot))
	s.conns[slot] = c
	s.load.Add(1)
	return c
}

// conn is the connection of a live ID, or nil.
func (s *shard) conn(id engine.ConnID) *conn {
	slot := id.Slot()
	if slot >= len(s.conns) {
		return nil
	}
	if c := s.conns[slot]; c != nil && c.id == id {
		return c
	}
	return nil
}

// forget frees the slot; the ID is dead from here on.
func (s *shard) forget(c *conn) {
	c.disarm()
	slot := c.id.Slot()
	s.conns[slot] = nil
	s.free = append(s.free, slot)
	s.load.Add(-1)
}
