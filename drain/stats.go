package drain

import (
	"cmp"
	"slices"
	"time"
)

// Stats is what metrics and status need: gauges are counted from the table at the time
// of the call, so they cannot drift.
type Stats struct {
	State           State
	Since           time.Time // of the last edge
	Deadline        time.Time // zero outside Draining
	Connections     ClassCounts
	Groups          []Group     // Connections by listener and protocol, sorted
	Initial         ClassCounts // when draining began
	Tracked         uint64      // admitted, ever
	RefusedShut     uint64      // refused with ErrShut, ever
	RefusedDraining uint64      // refused with ErrDraining, ever
	Told            uint64      // told to leave, ever
	Exchanges       uint64      // finished, ever
	Arrivals        uint64      // connections that carried a request, ever
	Outcomes        OutcomeCounts
}

// Group is the connections of one protocol on one listener.
type Group struct {
	Listener, Protocol string
	Connections        ClassCounts
}

// Stats counts everything now. The lock is held for a piece of the table at a time, so
// the counts are from slightly different moments.
func (t *Tracker) Stats() Stats {
	t.looking.Lock()
	defer t.looking.Unlock()
	t.mu.Lock()
	s := Stats{
		State:           t.state,
		Since:           t.since,
		Initial:         t.account.initial,
		Tracked:         t.totals.tracked,
		RefusedShut:     t.totals.refusedShut,
		RefusedDraining: t.totals.refusedDraining,
		Exchanges:       t.totals.exchanges,
		Outcomes:        outcomeCounts(t.totals.outcomes),
	}
	if t.state == Draining {
		s.Deadline = t.run.deadline
	}
	t.mu.Unlock()

	s.Told, s.Arrivals = t.told.Load(), t.arrivals.total.Load()
	type key struct{ listener, protocol string }
	groups := make(map[key]ClassCounts)
	t.look(func(c *Conn) {
		w := c.load()
		if w.class() == Gone { // it is in no gauge, and in the next totals
			return
		}
		s.Connections.add(w.class())
		s.Exchanges += uint64(w.finished())
		k := key{c.kind.listener, c.kind.protocol}
		n := groups[k]
		n.add(w.class())
		groups[k] = n
	})
	t.counted = max(t.counted, s.Exchanges)
	s.Exchanges = t.counted
	for k, n := range groups {
		s.Groups = append(s.Groups, Group{k.listener, k.protocol, n})
	}
	slices.SortFunc(s.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Protocol, b.Protocol))
	})
	return s
}
