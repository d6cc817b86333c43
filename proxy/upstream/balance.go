package upstream

// Balance is how a cluster chooses among its endpoints.
type Balance uint8

// The ways to choose. The zero value is RoundRobin.
const (
	RoundRobin   Balance = iota // one after the other
	LeastRequest                // the less busy of two: one by turns, one by chance
)

// Pick chooses an endpoint, other than avoid if there is another. Nil if the cluster has none.
func (c *Cluster) Pick(avoid *Endpoint) *Endpoint {
	v, turn := c.now.Load(), c.next.Add(1)-1
	if avoid == nil {
		return v.choose(turn, nil, len(v.endpoints))
	}
	n := v.count(avoid)
	if n == 0 { // avoid is the only one, or there is none
		return v.choose(turn, nil, len(v.endpoints))
	}
	return v.choose(turn, avoid, n)
}

// choose picks among the n endpoints other than avoid. Two turns of equal load are the
// two candidates in rotation, so that a cluster at rest is balanced round robin and
// nobody starves: an endpoint loses its turn only to one that is less busy.
func (v *version) choose(turn uint64, avoid *Endpoint, n int) *Endpoint {
	if n == 0 {
		return nil
	}
	e := v.nth(int(turn%uint64(n)), avoid)
	if v.cfg.Balance == RoundRobin || n == 1 {
		return e
	}
	step := 1 + mix(turn)%uint64(n-1)
	if other := v.nth(int((turn+step)%uint64(n)), avoid); other.Active.Load() < e.Active.Load() {
		return other
	}
	return e
}

// nth is the endpoint at i, not counting avoid.
func (v *version) nth(i int, avoid *Endpoint) *Endpoint {
	if avoid == nil {
		return v.endpoints[i]
	}
	for _, e := range v.endpoints {
		if e == avoid {
			continue
		}
		if i == 0 {
			return e
		}
		i--
	}
	panic("BUG: fewer endpoints than were counted")
}

func (v *version) count(avoid *Endpoint) (n int) {
	for _, e := range v.endpoints {
		if e != avoid {
			n++
		}
	}
	return n
}

// HasOther reports whether the cluster has an endpoint other than e, which may have left
// it meanwhile.
func (c *Cluster) HasOther(e *Endpoint) bool { return c.now.Load().count(e) > 0 }

// mix spreads the bits of a turn (the finaliser of splitmix64): chance enough for a
// second candidate, and repeatable in a simulation.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
