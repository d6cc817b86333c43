package drain

import (
	"cmp"
	"slices"
	"time"
)

// run is a drain in progress. Guarded by Tracker.mu.
type run struct {
	began    time.Time
	deadline time.Time
	patience time.Duration // how long idle is too long; 0: idle connections are left alone
	turn     time.Duration // between two turns of idle closing while more are due than one closes
	least    time.Duration // between any two looks at everybody
	idleBy   time.Time     // when the last of those idle from the start is asked to go
	idleTurn time.Time     // the next turn
	cutAt    time.Time     // when everything left is asked to go
	cut      bool          // that was done
	settleBy time.Time     // when what did not go is declared stuck; set with cut
	forced   bool          // Cut was called
	due      []idler       // scratch of idle

	limitTurn time.Time     // the next look at Terms.Deadline; zero: none was taken yet
	shortest  time.Duration // of them, at the last look

	lead     time.Duration // of a farewell; 0: none is said
	nearTurn time.Time     // the next look for those whose time is near; zero: none was taken yet
}

// idleTurns is the number of turns between the first idle close and the last.
const idleTurns = 50

// Each look at everybody costs what a crowd costs, with the lock held. Among many there is
// always one whose time is over in a millisecond: looks keep a distance of a turn, and of
// no more than mostLate, by which what is due may then be late.
const (
	leastTurn = 10 * time.Millisecond
	mostLate  = 50 * time.Millisecond
)

// BeginDrain admits nothing any more and begins to wait for what is open; deadline is
// the end of the budget (zero: Timeout from now). It is legal from Shut, Open and
// Leaving; later it does nothing. The caller has joined its accept loops (invariant
// 2), and calls Step at the times that Step asks for.
//
// With nothing open the tracker is Drained when BeginDrain returns.
func (t *Tracker) BeginDrain(now, deadline time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state {
	case Shut, Open:
		t.leftAt = now
		t.beginAccount()
	case Leaving:
		t.endNotice()
	case Draining, Drained:
		return
	}
	if deadline.IsZero() {
		deadline = now.Add(t.cfg.Timeout)
	}
	t.run = t.plan(now, deadline)
	t.accountDraining(now)
	t.tell(everybody)
	t.switchTo(Draining, now)
	t.quiesce(now)
}

// plan lays out the times of a drain. Each one shrinks with a small budget.
func (t *Tracker) plan(now, deadline time.Time) run {
	budget := max(0, deadline.Sub(now))
	half := budget / 2
	patience := min(t.cfg.IdleClose, budget/3)
	r := run{
		began:    now,
		deadline: deadline,
		patience: patience,
		turn:     max(leastTurn, (half-patience)/idleTurns),
		idleBy:   now.Add(half),
		idleTurn: now.Add(patience),
		cutAt:    deadline.Add(-min(t.cfg.Settle, budget/10)),
	}
	r.least = min(r.turn, mostLate)
	r.lead = min(t.cfg.FarewellLead, budget/4)
	if t.cfg.Faults.IdleCloseFirst {
		r.patience, r.idleTurn, r.idleBy = 0, now, now
	}
	return r
}

// eviction is a request to go that is still to be delivered, without the lock.
type eviction struct {
	c     *Conn
	cause Cause
	order Order
}

// Step does what is due at now: it begins the goodbyes of a lame duck, asks idle
// connections to go, asks everything to go at the deadline, and closes the account.
// next is when to call it again (zero: nothing is due at any time); done reports
// Drained. Calls may come early, late or twice. Evictions are delivered by calling
// onEvict from within Step, after the lock is released.
func (t *Tracker) Step(now time.Time) (next time.Time, done bool) {
	var out []eviction
	t.mu.Lock()
	switch t.state {
	case Shut, Open, Drained:
	case Leaving:
		next = t.stepLeaving(now)
	case Draining:
		next, out = t.stepDraining(now)
	}
	t.mu.Unlock()

	for _, e := range out {
		if e.c.evict != nil {
			e.c.evict(e.cause)
		}
	}
	select {
	case <-t.drained: // perhaps by a Done within onEvict
		return time.Time{}, true
	default:
		return next, false
	}
}

// Cut moves the deadline of a drain to now: the operator does not want to wait. Before
// draining it does nothing. The caller calls Step.
func (t *Tracker) Cut(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == Draining && !t.run.cut && now.Before(t.run.cutAt) {
		t.run.cutAt, t.run.forced = now, true
	}
}

// Deadline is when the drain in progress ends; ok is false outside Draining.
func (t *Tracker) Deadline() (deadline time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.run.deadline, t.state == Draining
}

// stepDraining is Step while Draining. Call with mu held.
func (t *Tracker) stepDraining(now time.Time) (next time.Time, out []eviction) {
	r := &t.run
	if !r.cut && !now.Before(r.cutAt) && !t.cfg.Faults.NoDeadline {
		r.cut = true
		r.settleBy = now.Add(t.cfg.Settle)
		t.accountCut(now)
		return r.settleBy, t.evictAll()
	}
	if r.cut {
		if now.Before(r.settleBy) {
			return r.settleBy, nil
		}
		t.accountStuck(now)
		t.finish(now, EndedBySettleTime)
		return time.Time{}, nil
	}
	next = r.cutAt
	for _, step := range []func(time.Time) (time.Time, []eviction){t.stepLimits, t.stepFarewell, t.stepIdle} {
		at, more := step(now)
		out = append(out, more...)
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next, out
}

// evictAll asks everybody to go. Call with mu held.
func (t *Tracker) evictAll() []eviction {
	out := make([]eviction, 0, t.table.n)
	for c := range t.table.all {
		if c.asked != askedCut {
			c.asked, c.cause = askedCut, CauseDeadline
		}
		out = append(out, eviction{c, CauseDeadline, c.order()})
	}
	sortEvictions(out)
	return out
}

// stepIdle takes a turn of idle closing if one is due: of those that have been idle
// for the patience of this drain, the longest idle go first, and as many as it takes
// for those that never stirred to be gone by idleBy. Closing by rate spreads the
// reconnects; longest idle first closes those least likely to be sending at this very
// moment. Call with mu held.
func (t *Tracker) stepIdle(now time.Time) (next time.Time, out []eviction) {
	r := &t.run
	if r.patience <= 0 && !t.cfg.Faults.IdleCloseFirst {
		return time.Time{}, nil
	}
	if now.Before(r.idleTurn) {
		return r.idleTurn, nil
	}
	due, soonest := t.idle(now)
	k := len(due)
	if left := r.idleBy.Sub(now); left > 0 {
		turns := int((left + r.turn - 1) / r.turn)
		k = (k + turns - 1) / turns
	}
	for _, d := range due[:k] {
		d.c.asked = askedIdle
		out = append(out, eviction{d.c, CauseIdle, d.order})
	}
	// A connection that is active now and idles from now on is due after the patience,
	// and no sooner: there is nothing to look for in between.
	wait := min(soonest, r.patience)
	if k < len(due) {
		wait = min(wait, r.turn)
	}
	r.idleTurn = now.Add(max(wait, r.least))
	return r.idleTurn, out
}

type idler struct {
	c     *Conn
	idle  time.Duration
	order Order
}

// idle lists who has been idle (or never used) for too long, longest first (but for the
// Order of their Terms), and how long it takes until the next one is. The time before the drain counts for the order;
// nobody is cut short by it, because the first turn comes after the patience. Call with
// mu held.
func (t *Tracker) idle(now time.Time) (due []idler, soonest time.Duration) {
	r := &t.run
	tick := t.tickAt(now)
	due, soonest = r.due[:0], r.patience
	for c := range t.table.all {
		w := c.load()
		if c.asked != askedNothing || (w.class() != Idle && w.class() != Handshake) {
			continue
		}
		lasted := w.lasted(tick)
		if wait := r.patience - lasted; wait > 0 {
			soonest = min(soonest, wait)
			continue
		}
		due = append(due, idler{c, lasted, c.order()})
	}
	slices.SortFunc(due, func(a, b idler) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(b.idle, a.idle), cmp.Compare(a.c.id, b.c.id))
	})
	r.due = due
	return due, soonest
}
