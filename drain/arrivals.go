package drain

import (
	"sync/atomic"
	"time"
)

// arrivals counts new connections that carried a request: what tells a balancer that
// still sends from one that has stopped. Connections that never speak (port checks,
// probes, preconnects) do not count. It takes no lock: Active calls it.
type arrivals struct {
	total atomic.Uint64
	last  atomic.Int64 // tick of the last arrival that counts for Quiet, plus 1; 0: none

	// A bucket holds the second (high half) and the count (low half). A bucket of
	// another second is stale and worth nothing.
	buckets [16]atomic.Uint64
}

// arrivalWindow is how far back the rate before Leave is judged. It must be less
// than the number of buckets in seconds.
const arrivalWindow = 10 * time.Second

func (a *arrivals) add(tick uint64) {
	a.total.Add(1)
	second := uint32(tick / 1000)
	b := &a.buckets[second%uint32(len(a.buckets))]
	for {
		old := b.Load()
		next := old + 1
		if uint32(old>>32) != second {
			next = uint64(second)<<32 | 1
		}
		if b.CompareAndSwap(old, next) {
			return
		}
	}
}

// recent is the number of arrivals in the window before tick.
func (a *arrivals) recent(tick uint64) (n int) {
	second := uint32(tick / 1000)
	for i := range a.buckets {
		v := a.buckets[i].Load()
		if second-uint32(v>>32) <= uint32(arrivalWindow/time.Second) {
			n += int(uint32(v))
		}
	}
	return n
}

// arrived is called once by each connection, at its first request.
func (t *Tracker) arrived(c *Conn) {
	tick := t.tick()
	t.arrivals.add(tick)
	// A connection that was open before Leave and speaks only now was not sent here
	// by a balancer that has not noticed yet: it does not disturb the quiet.
	if c.id > t.leaveID.Load() {
		t.arrivals.last.Store(int64(tick) + 1)
	}
}

// Arrivals is how many connections have carried at least one request, and when the
// last of them did first (the zero Time if none). After Leave the time is only of
// connections accepted since.
func (t *Tracker) Arrivals() (total uint64, last time.Time) {
	if l := t.arrivals.last.Load(); l > 0 {
		last = t.start.Add(time.Duration(l-1) * time.Millisecond)
	}
	return t.arrivals.total.Load(), last
}

// Quiet is for how long, at now, no new connection has carried a request since Leave,
// and whether that may be judged: with fewer than QuietArrivals such connections in
// the ten seconds before Leave silence proves nothing. It fits lifecycle's Quiet.
func (t *Tracker) Quiet(now time.Time) (quiet time.Duration, judged bool) {
	t.mu.Lock()
	left, before := t.leftAt, t.arrivedBefore
	leaving := t.state == Leaving
	t.mu.Unlock()
	if !leaving {
		return 0, false
	}
	if _, last := t.Arrivals(); last.After(left) {
		left = last
	}
	return max(0, now.Sub(left)), before >= t.cfg.QuietArrivals
}
