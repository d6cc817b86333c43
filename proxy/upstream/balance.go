package upstream

import "time"

// Balance is how a cluster chooses among its endpoints.
type Balance uint8

// The ways to choose. The zero value is RoundRobin.
const (
	RoundRobin   Balance = iota // one after the other
	LeastRequest                // the less busy of two: one by turns, one by chance
)

// Pick chooses an endpoint in good health, other than avoid if there is another. Nil if
// there is none. An endpoint that was ejected gets its one request here when its time
// has come.
func (c *Cluster) Pick(now time.Time, avoid *Endpoint) *Endpoint {
	return c.pick(now, avoid, false)
}

// PickOther is Pick after a connection to not could not be made: even an ejected endpoint
// is a better guess than that one. Nil if there is no other.
func (c *Cluster) PickOther(now time.Time, not *Endpoint) *Endpoint {
	return c.pick(now, not, true)
}

func (c *Cluster) pick(now time.Time, avoid *Endpoint, other bool) *Endpoint {
	v, turn := c.now.Load(), c.next.Add(1)-1
	if avoid == nil && c.impaired.Load() == 0 {
		return v.choose(turn, choice{}, len(v.endpoints))
	}
	for _, e := range v.endpoints {
		if e != avoid && e.out.Load() && e.claim(now) {
			return e
		}
	}
	among, n := v.rest(avoid, other)
	return v.choose(turn, among, n)
}

// choice says which endpoints are candidates. The zero choice is all of them.
type choice struct {
	avoid  *Endpoint
	picky  bool // only those in good health
	active bool // with picky: only what active checks say counts
}

func (ch choice) takes(e *Endpoint) bool {
	switch {
	case e == ch.avoid:
		return false
	case !ch.picky:
		return true
	case ch.active:
		return !e.down.Load()
	}
	return e.State() == Healthy
}

// rest finds the candidates when not all endpoints are: the healthy ones but avoid, then,
// unless it has to be another, avoid itself. If none is healthy, ejections that could not have come to pass with the
// endpoints of today (a policy took the healthy ones away) do not count.
func (v *version) rest(avoid *Endpoint, other bool) (choice, int) {
	all := v.mayEject() >= len(v.endpoints) // may be ejected: then ejections stand
	for _, ch := range [...]choice{{avoid: avoid, picky: true}, {picky: true}, {avoid: avoid, picky: true, active: true}, {picky: true, active: true}} {
		if ch.active && all || ch.avoid == nil && other {
			continue
		}
		if n := v.count(ch); n > 0 {
			return ch, n
		}
	}
	return choice{}, 0
}

// choose picks among the n candidates. Two turns of equal load are the two candidates in
// rotation, so that a cluster at rest is balanced round robin and nobody starves: an
// endpoint loses its turn only to one that is less busy.
func (v *version) choose(turn uint64, among choice, n int) *Endpoint {
	if n == 0 {
		return nil
	}
	e := v.nth(int(turn%uint64(n)), among)
	if v.cfg.Balance == RoundRobin || n == 1 {
		return e
	}
	step := 1 + mix(turn)%uint64(n-1)
	if other := v.nth(int((turn+step)%uint64(n)), among); other.Active.Load() < e.Active.Load() {
		return other
	}
	return e
}

// nth is candidate number i. Their health may change between count and here; then it is
// the last one.
func (v *version) nth(i int, among choice) (last *Endpoint) {
	if among == (choice{}) {
		return v.endpoints[i]
	}
	for _, e := range v.endpoints {
		if !among.takes(e) {
			continue
		}
		if last = e; i == 0 {
			return e
		}
		i--
	}
	if last == nil {
		return v.endpoints[0]
	}
	return last
}

func (v *version) count(among choice) (n int) {
	for _, e := range v.endpoints {
		if among.takes(e) {
			n++
		}
	}
	return n
}

// mix spreads the bits of a turn (the finaliser of splitmix64): chance enough for a
// second candidate, and repeatable in a simulation.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
