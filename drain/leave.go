package drain

import (
	"math"
	"time"
)

// Leave begins the lame duck: Open to Leaving. Connections are still admitted, and
// goodbyes begin after NoticeAfter. It is BeginLeave with a timer.
//
// In Shut it does nothing: nothing was admitted, so there is nobody to take leave of,
// and Leaving would admit. In Leaving and later it does nothing either.
func (t *Tracker) Leave() {
	now := t.cfg.Now()
	if !t.BeginLeave(now) {
		return
	}
	t.mu.Lock()
	number := t.notice.number
	t.mu.Unlock()
	t.arm(number, t.cfg.NoticeAfter)
}

// BeginLeave is Leave without a timer: the caller calls Step. It reports whether this
// call made the edge from Open to Leaving.
func (t *Tracker) BeginLeave(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != Open {
		return false
	}
	t.leftAt = now
	t.leftTick.Store(t.tickAt(now))
	t.arrivedBefore = t.arrivals.recent(t.tickAt(now))
	t.leaveID.Store(t.lastID)
	t.notice = notice{number: t.notice.number + 1, at: now.Add(t.cfg.NoticeAfter)}
	t.beginAccount()
	t.switchTo(Leaving, now)
	return true
}

// Notice tells everybody who was here before Leave to leave now, instead of by and by
// from NoticeAfter on: on a hand-over, or when the balancers acknowledged. Outside Leaving
// it does nothing.
func (t *Tracker) Notice() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == Leaving {
		t.tellOld()
	}
}

// notice is the goodbyes of a lame duck: from at on everybody's turn comes, spread over
// NoticeSpread, so that not all clients look for another place in the same moment. The
// turns go over the table in pieces. Guarded by Tracker.mu.
type notice struct {
	number uint32      // of the lame duck, from 1; only ever grows
	at     time.Time   // the next turn; zero outside Leaving and once all were told
	stop   func() bool // stops the timer of the shell; nil: none

	began  time.Time // when the first turn was due; zero: it has not come
	places int       // of the table then: whoever came later is not told anyway
	passes []Order   // one for each order that is in use
	done   int       // places that had their turn, over all passes
}

// noticeTurns is the number of turns of a notice, and noticeTurn the least between two.
const (
	noticeTurns = 50
	noticeTurn  = 10 * time.Millisecond
)

// stepLeaving takes the turns that are due. Call with mu held.
func (t *Tracker) stepLeaving(now time.Time) (next time.Time) {
	n := &t.notice
	if n.at.IsZero() || now.Before(n.at) {
		return n.at
	}
	spread := t.cfg.NoticeSpread
	if n.began.IsZero() {
		n.began, n.places, n.passes = n.at, len(t.table.places), []Order{Between}
		if t.ordered.Load() {
			n.passes = []Order{First, Between, Last}
		}
		t.bid.Store(n.number)
	}
	passed := now.Sub(n.began)
	if passed >= spread || n.places == 0 {
		t.tellOld()
		return time.Time{}
	}
	turn := max(noticeTurn, spread/noticeTurns)
	share := float64(min(passed+turn, spread)) / float64(spread)
	t.bidUpTo(int(math.Ceil(float64(n.places*len(n.passes)) * share)))
	n.at = now.Add(min(turn, spread-passed))
	return n.at
}

// bidUpTo gives their turn to the places before end, counted over all passes. Call with
// mu held.
func (t *Tracker) bidUpTo(end int) {
	n := &t.notice
	if t.cfg.Faults.GoodbyeNever {
		return
	}
	for end = min(end, n.places*len(n.passes)); n.done < end; n.done++ {
		c, order := t.table.places[n.done%n.places], n.passes[n.done/n.places]
		if c != nil && c.id <= t.leaveID.Load() && (len(n.passes) == 1 || c.order() == order) {
			c.bid.Store(n.number)
		}
	}
}

// tellOld tells all who were here before Leave. Call with mu held.
func (t *Tracker) tellOld() {
	t.endNotice()
	t.tell(t.leaveID.Load())
}

// endNotice forgets the turns that are left, and their timer. Call with mu held.
func (t *Tracker) endNotice() {
	t.notice.at = time.Time{}
	t.bid.Store(0)
	if t.notice.stop != nil {
		t.notice.stop()
		t.notice.stop = nil
	}
}

// arm has the shell come back for the next turn of the notice of that number.
func (t *Tracker) arm(number uint32, d time.Duration) {
	stop := t.cfg.AfterFunc(d, func() { t.noticeDue(number) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notice.number != number || t.notice.at.IsZero() || t.notice.stop != nil {
		// The lame duck ended meanwhile, or ended and began anew with a timer of its
		// own. A timer that fires late is harmless: noticeDue looks at the number.
		stop()
		return
	}
	t.notice.stop = stop
}

// noticeDue is what the timer of the shell does.
func (t *Tracker) noticeDue(number uint32) {
	t.mu.Lock()
	due := t.notice.number == number && !t.notice.at.IsZero()
	if due {
		t.notice.stop = nil
	}
	t.mu.Unlock()
	if !due {
		return
	}
	now := t.cfg.Now()
	if next, _ := t.Step(now); !next.IsZero() && t.State() == Leaving {
		t.arm(number, next.Sub(now))
	}
}

// noticeOfItsOwn is Goodbye in the lame duck for a connection that is older and whose route
// has its own time for that; after < 0: never.
func (c *Conn) noticeOfItsOwn(after time.Duration) bool {
	if after < 0 || c.t.cfg.Faults.GoodbyeNever {
		return false
	}
	return c.t.tick() >= c.t.leftTick.Load()+uint64(after.Milliseconds())
}

// tell makes Goodbye true for IDs up to id. Call with mu held.
func (t *Tracker) tell(id uint64) {
	if !t.cfg.Faults.GoodbyeNever {
		t.tellUpTo.Store(id)
	}
}
