package proxy

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// routeStats counts the exchanges of one route. Safe for concurrent use; it outlives
// snapshots.
type routeStats struct {
	name  string
	cells atomic.Pointer[statusCell] // the first of a list that only grows: nil before the first exchange
	mu    sync.Mutex                 // guards growing the list
	terms drain.Terms                // of a route that says nothing about a drain
	lives drain.Lives
}

func newRouteStats(name string) *routeStats {
	s := &routeStats{name: name}
	s.terms.Lives = &s.lives
	return s
}

// maxCells bounds the label values of one route: an upstream chooses the status.
const maxCells = 64

// statusCell is one object in the order in which it is read, what quick exchanges need in
// its first cache line: among 100,000 routes each line is a miss.
type statusCell struct {
	method  methodID
	status  int32 // 0: any, once there are too many
	next    atomic.Pointer[statusCell]
	micros  atomic.Uint64
	buckets [len(DurationBuckets) + 1]atomic.Uint64
}

func (s *routeStats) count(m methodID, status int, took time.Duration) {
	c := s.find(m, status)
	if c == nil {
		c = s.grow(m, status)
	}
	i := 0
	for sec := took.Seconds(); i < len(DurationBuckets) && sec > DurationBuckets[i]; i++ {
	}
	c.buckets[i].Add(1)
	c.micros.Add(uint64(max(took.Microseconds(), 0)))
}

func (s *routeStats) find(m methodID, status int) *statusCell {
	for c := s.cells.Load(); c != nil; c = c.next.Load() {
		if c.method == m && int(c.status) == status {
			return c
		}
	}
	return nil
}

func (s *routeStats) grow(m methodID, status int) *statusCell {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, n := &s.cells, 0
	for c := end.Load(); c != nil; c = end.Load() {
		end, n = &c.next, n+1
	}
	if n >= maxCells {
		m, status = methodOther, 0
	}
	if c := s.find(m, status); c != nil { // somebody else was faster, or there are too many
		return c
	}
	c := &statusCell{method: m, status: int32(status)}
	end.Store(c)
	return c
}

// statsBook holds the counters of every route by name, across snapshots.
type statsBook struct {
	mu     sync.Mutex // guards routes and tcp
	routes map[string]*routeStats
	tcp    map[string]*routeStats // TCP routes
	none   routeStats             // exchanges that matched no route
}

// route returns the counters of a route, for Compile.
func (b *statsBook) route(name string) *routeStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.routes[name]
	if s == nil {
		if b.routes == nil {
			b.routes = map[string]*routeStats{}
		}
		s = newRouteStats(name)
		b.routes[name] = s
	}
	return s
}

// tcpRoute is route for a TCP route: only how long its tunnels last is counted.
func (b *statsBook) tcpRoute(name string) *routeStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.tcp[name]
	if s == nil {
		if b.tcp == nil {
			b.tcp = map[string]*routeStats{}
		}
		s = newRouteStats(name)
		b.tcp[name] = s
	}
	return s
}

// keep forgets the routes that are in no snapshot any more and never counted anything, and
// TCP routes that are in none.
func (b *statsBook) keep(inForce []Route, tcp map[string]*tcpRoute) {
	b.mu.Lock()
	defer b.mu.Unlock()
	named := make(map[*routeStats]bool, len(inForce))
	for i := range inForce {
		named[inForce[i].stats] = true
	}
	for name, s := range b.routes {
		if !named[s] && s.cells.Load() == nil {
			delete(b.routes, name)
		}
	}
	for name := range b.tcp {
		if !slices.ContainsFunc(slices.Collect(maps.Values(tcp)), func(r *tcpRoute) bool { return r.Name == name }) {
			delete(b.tcp, name)
		}
	}
}

func (b *statsBook) of(r *Route) *routeStats {
	if r == nil {
		return &b.none
	}
	return r.stats
}
