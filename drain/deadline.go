package drain

import "time"

// MoveDeadline gives a drain that runs more time, or less; a deadline that has passed is
// Cut. What is closed as idle, and when, follows as if the drain had begun with it. false:
// no drain runs, or what is left was cut already. The caller calls Step.
func (t *Tracker) MoveDeadline(now, deadline time.Time) bool {
	if !now.Before(deadline) {
		t.Cut(now)
		return t.State() == Draining
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.run
	if t.state != Draining || r.cut || r.forced {
		return false
	}
	if deadline.Equal(r.deadline) {
		return true
	}
	p := t.plan(r.began, deadline)
	r.deadline, r.cutAt = p.deadline, p.cutAt
	r.patience, r.turn, r.idleBy = p.patience, p.turn, p.idleBy
	r.idleTurn = later(now, p.idleTurn)
	r.lead, r.nearTurn = p.lead, time.Time{}
	t.accountMove(now, deadline)
	t.nudge()
	return true
}

// Cutting reports whether what is left was asked to go: from then on the deadline cannot
// be moved any more.
func (t *Tracker) Cutting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.run.cut || t.run.forced
}

// nudge makes the shell look again.
func (t *Tracker) nudge() {
	select {
	case t.nudged <- struct{}{}:
	default: // it has not looked since the last time
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
