package upstream

import "sync"

// Waiter is an exchange, or a TCP connection, that waits for a connection of a cluster.
// It belongs to the shard that joined it; the zero Waiter waits for nothing.
type Waiter struct {
	Shard int
	Conn  uint64 // who waits, in words of the shard
	Seq   uint64 // which wait of it: grows with each Acquire and Leave
	Fresh bool   // only a new connection will do

	cluster    *Cluster // it waits for; nil: it does not wait. Guarded by the cluster's slots.mu
	next, prev *Waiter
}

// Grant is a slot for the waiter that Conn and Seq name; it has left the queue. Whoever
// finds that the waiter has given up meanwhile gives the slot back.
type Grant struct {
	Shard   int
	Conn    uint64
	Seq     uint64
	Cluster *Cluster
}

// maxPassed is how many waiters of other shards may be served before the first one.
const maxPassed = 8

// slots counts the connections of a cluster over all shards, and holds who waits for one.
//
// Invariant: while somebody waits, nothing is pooled that was not pooled before: Pooled
// and Join look at each other under one lock. So whoever waits is served by the next
// connection that ends or becomes free, or by one that was idle when it began to wait
// and that its shard is asked to give up (Idle says which).
type slots struct {
	mu          sync.Mutex // guards what follows
	conns       int        // being made, busy and idle
	idle        []int      // by shard; only kept while there is a limit
	first, last *Waiter
	waiting     int
	passed      int // waiters that were served before first since it became first

	full uint64 // Joins that found no room
}

// Acquired says how an attempt to get a connection ended.
type Acquired uint8

// The ends of Acquire.
const (
	HasSlot Acquired = iota // make a connection, and Release once it is closed
	Queued                  // a Grant will come, unless Leave does first
	Full                    // too many wait
)

// Acquire asks for a slot for a new connection on behalf of w, whose Shard and Conn are
// set. If it is queued, ask is a shard to be asked to give up an idle connection; -1: none
// has one.
func (c *Cluster) Acquire(w *Waiter) (got Acquired, ask int) {
	cfg := c.Config()
	s := &c.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg.MaxConnections <= 0 || s.first == nil && s.conns < cfg.MaxConnections {
		s.conns++
		return HasSlot, -1
	}
	if s.waiting >= cfg.MaxPending {
		s.full++
		return Full, -1
	}
	w.Seq++
	w.cluster, w.prev = c, s.last
	if s.last == nil {
		s.first, s.passed = w, 0
	} else {
		s.last.next = w
	}
	s.last = w
	s.waiting++
	return Queued, s.someIdle(w.Shard)
}

// someIdle is a shard with an idle connection, if it can be shard itself.
func (s *slots) someIdle(shard int) int {
	if shard < len(s.idle) && s.idle[shard] > 0 {
		return shard
	}
	for i, n := range s.idle {
		if n > 0 {
			return i
		}
	}
	return -1
}

// Leave takes w out of the queue. False: it is not there, and if it was, a Grant is on
// its way.
func (w *Waiter) Leave() bool {
	c := w.cluster
	if c == nil {
		return false
	}
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	w.Seq++ // a Grant on its way names nobody any more
	return c.slots.remove(w)
}

// remove is under mu.
func (s *slots) remove(w *Waiter) bool {
	if w != s.first && w.prev == nil {
		return false
	}
	if w == s.first {
		s.first, s.passed = w.next, 0
	} else {
		w.prev.next = w.next
	}
	if w == s.last {
		s.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	s.waiting--
	return true
}

// Release gives back the slot of a connection that is closed, or that was not made. The
// first who waits gets it: ok, and the caller brings him the Grant.
func (c *Cluster) Release() (g Grant, ok bool) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	c.slots.conns--
	return c.grant()
}

// Wake grants a slot if somebody waits and there is one: the limit may have risen. Call it
// until it says no.
func (c *Cluster) Wake() (g Grant, ok bool) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	return c.grant()
}

func (c *Cluster) grant() (g Grant, ok bool) {
	s, limit := &c.slots, c.Config().MaxConnections
	w := s.first
	if w == nil || limit > 0 && s.conns >= limit {
		return Grant{}, false
	}
	s.remove(w)
	s.conns++
	return Grant{w.Shard, w.Conn, w.Seq, c}, true
}

// Pooled asks what to do with a connection of shard that has become free. keep: put it in
// the pool. Otherwise, ok: it goes to the waiter that g names, of this very shard, as it is;
// not ok: close it, for the slot is wanted elsewhere.
//
// FIFO up to a point: a waiter of the same shard can have the connection itself, so up to
// maxPassed of them go before the first one.
func (c *Cluster) Pooled(shard int) (g Grant, ok, keep bool) {
	limit := c.Config().MaxConnections
	if limit <= 0 {
		return Grant{}, false, true
	}
	s := &c.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns > limit {
		return Grant{}, false, false
	}
	w := s.first
	if w == nil {
		s.count(shard, 1)
		return Grant{}, false, true
	}
	for range maxPassed {
		if w == nil || w.Shard == shard && !w.Fresh {
			break
		}
		w = w.next
	}
	if w == nil || w.Shard != shard || w.Fresh || w != s.first && s.passed >= maxPassed {
		return Grant{}, false, false
	}
	passed := s.passed + 1
	first := w == s.first
	s.remove(w)
	if !first {
		s.passed = passed
	}
	return Grant{w.Shard, w.Conn, w.Seq, c}, true, false
}

// Unpooled reports that shard took n connections out of its pool, to use or to close them.
func (c *Cluster) Unpooled(shard, n int) {
	if c.Config().MaxConnections > 0 {
		c.slots.mu.Lock()
		c.slots.count(shard, -n)
		c.slots.mu.Unlock()
	}
}

// Recount sets how many idle connections shard has: before there was a limit, nobody
// counted. It reports whether somebody waits.
func (c *Cluster) Recount(shard, n int) (wanted bool) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	c.slots.count(shard, 0)
	c.slots.idle[shard] = n
	return c.slots.first != nil
}

func (s *slots) count(shard, n int) {
	for len(s.idle) <= shard {
		s.idle = append(s.idle, 0)
	}
	s.idle[shard] = max(0, s.idle[shard]+n)
}

// Busy reports whether others wait already, so that whoever comes now has to wait too.
func (c *Cluster) Busy() bool {
	if c.Config().MaxConnections <= 0 {
		return false
	}
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	return c.slots.first != nil
}

// Load is how many connections there are, how many wait for one, and how many found no
// room to wait.
func (c *Cluster) Load() (conns, waiting int, full uint64) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	return c.slots.conns, c.slots.waiting, c.slots.full
}
