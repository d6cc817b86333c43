package drain

import (
	"cmp"
	"slices"
	"time"
)

// Evict asks one connection to go, by its ID, in every state that admits or drains: an
// operator does not want to wait for it. What it has not finished is cut and named. found
// is false if there is no such connection, or if it was asked already.
func (t *Tracker) Evict(id uint64) (found bool) {
	var c *Conn
	t.look(func(o *Conn) {
		if o.id == id || t.cfg.Faults.EvictNeighbour && o.id+1 == id {
			c = o
		}
	})
	if c == nil || !c.Blame(CauseOperator) {
		return false
	}
	if c.evict != nil {
		c.evict(CauseOperator)
	}
	return true
}

// Blame notes for the receipt why a connection is about to be cut: for its owner, who
// does so by himself. The first cause stands; false: there was one already, or the
// connection is gone.
func (c *Conn) Blame(cause Cause) bool {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if c.index < 0 || c.asked == askedCut {
		return false
	}
	c.asked, c.cause = askedCut, cause
	return true
}

// limitEvery bounds how long a drain goes without looking for those whose own time is over.
const limitEvery = time.Second

// stepLimits asks those to go whose own time is over, by the Terms of their route. Call
// with mu held.
func (t *Tracker) stepLimits(now time.Time) (next time.Time, out []eviction) {
	shortest := time.Duration(t.shortest.Load())
	if shortest == 0 || t.cfg.Faults.RouteTimeForgot {
		return time.Time{}, nil
	}
	r := &t.run
	if r.limitTurn.IsZero() || shortest != r.shortest { // the first look, or there are new terms
		r.limitTurn, r.shortest = now, shortest
	}
	if now.Before(r.limitTurn) {
		return r.limitTurn, nil
	}
	wait := min(shortest, limitEvery) // what begins from now on has that long
	tick := t.tickAt(now)
	for c := range t.table.all {
		d, w := c.limit(), c.load()
		if d == 0 || c.asked == askedCut || w.class() != Active && w.class() != Tunnel {
			continue
		}
		if left := d - min(now.Sub(r.began), w.lasted(tick)); left > 0 {
			wait = min(wait, left)
			continue
		}
		c.asked, c.cause = askedCut, CauseRoute
		out = append(out, eviction{c, CauseRoute, c.order()})
	}
	sortEvictions(out)
	r.limitTurn = now.Add(max(wait, r.least))
	return r.limitTurn, out
}

// sortEvictions puts those first whose terms say so, and then the oldest.
func sortEvictions(out []eviction) {
	slices.SortFunc(out, func(a, b eviction) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.c.id, b.c.id))
	})
}
