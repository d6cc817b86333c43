package upstream

import (
	"sync/atomic"
	"time"
)

// State is the health of an endpoint.
//
//	          Failures in a row            the time is over: one request at a time
//	Healthy ───────────────────▶ Ejected ─────────────────────────────────────────▶ (it decides)
//	   ▲                            │ it was answered                  failed: Ejected for longer
//	   └────────────────────────────┘
//
// Unhealthy is what active checks say, and only they take it back.
type State uint8

// The states. The zero value is Healthy.
const (
	Healthy State = iota
	Ejected
	Unhealthy
	NumStates
)

func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Ejected:
		return "ejected"
	case Unhealthy:
		return "unhealthy"
	case NumStates:
	}
	return "invalid"
}

// health is what is known of an endpoint.
//
// That a request was let through to decide about an ejected endpoint is not a state:
// claiming moves until on by a lease, so that a request that ends without a verdict (its
// client left) never keeps the endpoint out for good.
type health struct {
	fails atomic.Int32 // in a row
	out   atomic.Bool  // ejected
	down  atomic.Bool  // active checks say so

	// Guarded by the cluster's mu.
	until    time.Time // of an ejection
	probing  bool      // one request was let through
	rounds   int       // ejections that followed one another
	returned time.Time
}

// State is the endpoint's health now.
func (e *Endpoint) State() State {
	switch {
	case e.down.Load():
		return Unhealthy
	case e.out.Load():
		return Ejected
	}
	return Healthy
}

// Answered reports that the endpoint did what it is for: a response, or a connection if
// that is all that can be seen. It is cheap while nothing is wrong.
func (e *Endpoint) Answered(now time.Time) {
	if e.fails.Load() == 0 && !e.out.Load() {
		return
	}
	c := e.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	e.fails.Store(0)
	if e.out.Swap(false) {
		e.returned, e.probing = now, false
		c.recount()
	}
}

// Failed reports that the endpoint could not be reached, or broke or fell silent before
// it answered.
func (e *Endpoint) Failed(now time.Time) {
	c := e.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.now.Load()
	o := &v.cfg.Outlier
	switch {
	case o.Off:
	case e.out.Load():
		if e.probing { // others that fail began before the ejection
			e.eject(now, o)
		}
	case int(e.fails.Add(1)) >= o.Failures && v.ejected() < v.mayEject() && !e.gone.Load():
		if now.Sub(e.returned) > 2*e.length(o) {
			e.rounds = 0
		}
		e.eject(now, o)
		c.recount()
	}
}

// eject leaves the endpoint out, each time for longer. Under the cluster's mu.
func (e *Endpoint) eject(now time.Time, o *Outlier) {
	e.out.Store(true)
	e.until = now.Add(e.length(o))
	e.rounds, e.probing = min(e.rounds+1, 30), false
	e.fails.Store(0)
	e.Ejections.Add(1)
}

// length is how long the next ejection lasts.
func (e *Endpoint) length(o *Outlier) time.Duration {
	d := o.EjectFor
	for range e.rounds {
		if d *= 2; d >= o.EjectMax {
			return o.EjectMax
		}
	}
	return d
}

// claim lets one caller through to an ejected endpoint whose time is over, and the next
// one after a lease, if nobody said what became of the first.
func (e *Endpoint) claim(now time.Time) bool {
	c := e.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if !e.out.Load() || e.down.Load() || now.Before(e.until) {
		return false
	}
	e.until = now.Add(c.now.Load().cfg.Outlier.EjectFor)
	e.probing = true
	return true
}

// SetUnhealthy is what active checks found.
func (e *Endpoint) SetUnhealthy(down bool) {
	c := e.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	e.down.Store(down)
	c.recount()
}

// mayEject is how many endpoints may be ejected at a time.
func (v *version) mayEject() int { return len(v.endpoints) * v.cfg.Outlier.MaxEjected / 100 }

func (v *version) ejected() (n int) {
	for _, e := range v.endpoints {
		if e.out.Load() {
			n++
		}
	}
	return n
}

// recount notes how many endpoints are not healthy. Under mu.
func (c *Cluster) recount() {
	n := 0
	for _, e := range c.now.Load().endpoints {
		if e.State() != Healthy {
			n++
		}
	}
	c.impaired.Store(int32(n))
}
