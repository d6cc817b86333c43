package drain

import "time"

// maxNamed bounds the lists of the receipt; beyond it connections are only counted.
const maxNamed = 1000

// maxListeners bounds the listener proofs of the receipt.
const maxListeners = 256

// account is the receipt in the making, from Leave (or BeginDrain) on. Guarded by
// Tracker.mu.
type account struct {
	open         ClassCounts // when the account began
	initial      ClassCounts
	closingAt    time.Time // when the listeners began to close
	told         ClassCounts
	started      uint64 // exchanges that ran when the account began, or began since
	unsent       int64
	actualLoss   uint64
	phases       []Phase
	before       totals // when the account began
	toldBefore   uint64
	leaving      uint64 // exchanges finished in the lame duck
	draining     uint64 // exchanges finished while draining
	interrupted  uint64
	failed       uint64
	expectedLoss float64
	cut          []Holder
	cutTotal     int
	stuck        []Holder
	stuckTotal   int
	listeners    []ListenerProof
	moves        []Move
	final        *Receipt // set by finish: what comes later changes nothing any more
}

// beginAccount starts a new account: at Leave, or at BeginDrain without one. An undrain
// makes the account of the lame duck void. How listeners were closed is kept: that
// comes before BeginDrain. Call with mu held, before the edge.
func (t *Tracker) beginAccount() {
	t.account = account{before: t.totals, toldBefore: t.told.Load(),
		listeners: t.account.listeners, closingAt: t.account.closingAt}
	t.rebase(func(c *Conn, w word) {
		c.first, c.knew = w.class(), c.told.Load()
		t.account.open.add(c.first)
	})
}

// Closing notes that the listeners begin to close: the lame duck ends, if there was one.
// Draining begins when they are closed.
func (t *Tracker) Closing() {
	now := t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state < Draining {
		t.account.closingAt = now
	}
}

// rebase makes what has finished until now count as before, shows also each connection,
// and returns how many exchanges that was since the last time, over all connections. It is
// one walk with the lock held, and cannot go in pieces: the books balance because everybody
// is on the same side of the edge. Call with mu held.
func (t *Tracker) rebase(also func(*Conn, word)) (n uint64) {
	for c := range t.table.all {
		w := c.load()
		f := w.finished()
		n += uint64(exchangesBetween(c.base, f))
		also(c, w) // who may look at what was the base until now
		c.base = f
	}
	return n
}

// accountDraining notes the start of draining. Call with mu held, before the edge.
func (t *Tracker) accountDraining(now time.Time) {
	a := &t.account
	finished := t.rebase(func(_ *Conn, w word) { a.initial.add(w.class()) })
	a.leaving += finished
	a.started += finished
	closing := now
	if !a.closingAt.IsZero() {
		closing = a.closingAt
	}
	if t.leftAt.Before(closing) {
		a.phases = append(a.phases, Phase{Name: PhaseLameDuck, Began: t.leftAt, Ended: closing, EndedBy: EndedByDraining})
	}
	if closing.Before(now) {
		a.phases = append(a.phases, Phase{Name: PhaseClose, Began: closing, Ended: now, EndedBy: EndedByJoin})
	}
	a.phases = append(a.phases, Phase{Name: PhaseDrain, Began: now})
}

// maxMoves bounds the moves of the deadline that the receipt lists.
const maxMoves = 16

// accountMove notes a new deadline. Call with mu held.
func (t *Tracker) accountMove(now, deadline time.Time) {
	if a := &t.account; len(a.moves) < maxMoves {
		a.moves = append(a.moves, Move{At: now, Deadline: deadline})
	}
}

// accountCut notes that everything left is asked to go. Call with mu held.
func (t *Tracker) accountCut(now time.Time) {
	by := EndedByDeadline
	if t.run.forced {
		by = EndedByOperator
	}
	t.endPhase(now, by)
	t.account.phases = append(t.account.phases, Phase{Name: PhaseCut, Began: now})
}

// endPhase closes the last phase. Call with mu held.
func (t *Tracker) endPhase(now time.Time, by string) {
	last := &t.account.phases[len(t.account.phases)-1]
	last.Ended, last.EndedBy = now, by
}

// accountStuck names what did not go. Call with mu held.
func (t *Tracker) accountStuck(now time.Time) {
	a := &t.account
	a.draining += t.rebase(func(c *Conn, w word) {
		if w.class() == Active {
			a.interrupted++
		}
		a.started += uint64(exchangesBetween(c.base, w.started()))
		a.settleConn(c)
	})
	a.stuckTotal = t.table.n
	for _, c := range oldest(t.table.list(), maxNamed) {
		a.stuck = append(a.stuck, c.holder(now, t.tickAt(now)))
	}
}

// settle books a connection that ends. w is its last word. Call with mu held.
func (t *Tracker) settle(c *Conn, w word, o Outcome, now time.Time) {
	a := &t.account
	finished := uint64(exchangesBetween(c.base, w.finished()))
	if w.class() == Active && o == Completed {
		finished += 1 + uint64(c.lost().others)
	}
	switch t.state {
	case Leaving:
		a.leaving += finished
	case Draining:
		a.draining += finished
	case Shut, Open, Drained:
		return // no account is open
	}
	if w.class() == Active {
		others := uint64(c.lost().others)
		switch o {
		case Completed:
		case Cut, IdleClosed: // by us
			a.interrupted += 1 + others
		case ClientClosed, Errored: // by them
			a.failed += 1 + others
		}
		a.started += others
	}
	a.started += uint64(exchangesBetween(c.base, w.started()))
	a.settleConn(c)
	switch o {
	case IdleClosed:
		if c.crossed {
			a.actualLoss++
		}
		a.expectedLoss += expectedLoss(t.cfg.AssumedRTT, w.started(), c.age(now))
	case Cut:
		if t.cfg.Faults.ReceiptForgetsCut {
			return
		}
		a.cutTotal++
		if len(a.cut) < maxNamed {
			h := c.holder(now, t.tickAt(now))
			if c.asked == askedCut {
				h.Cause = c.cause.String()
			}
			a.cut = append(a.cut, h)
		}
	case Completed, ClientClosed, Errored:
	}
}

// settleConn books what does not depend on how a connection ends.
func (a *account) settleConn(c *Conn) {
	a.unsent += c.lost().unsent
	if c.told.Load() && !c.knew {
		a.told.add(c.first)
	}
}

// expectedLoss is the chance that closing an idle connection first loses a request:
// that the client sends one within the round trip in which the FIN has not reached it
// yet. For requests that come at random it is RTT / mean gap; the gap is what this
// connection showed over its age.
func expectedLoss(rtt time.Duration, exchanges uint32, age time.Duration) float64 {
	if age <= rtt {
		return 1
	}
	return min(1, float64(rtt)*float64(exchanges+1)/float64(age))
}

// finish closes the account: Draining to Drained. Call with mu held.
func (t *Tracker) finish(now time.Time, by string) {
	t.endPhase(now, by)
	final := t.receipt()
	// Everybody is settled now. The counter that runs may differ by one who was being told
	// in the moment that an account began.
	final.Told = uint64(final.ToldClass.Total())
	t.account.final = &final
	t.switchTo(Drained, now)
}

// ListenerClosed notes how a listener was closed, for the receipt: proven if no
// handshake was reset, otherwise why not, and how many connections were still queued.
func (t *Tracker) ListenerClosed(name string, proven bool, reason string, residue int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.account.listeners) < maxListeners {
		t.account.listeners = append(t.account.listeners, ListenerProof{
			Name: name, Proven: proven, Reason: reason, Residue: residue,
		})
	}
}
