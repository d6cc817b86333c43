package drain

import "time"

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
	stop := t.cfg.AfterFunc(t.cfg.NoticeAfter, func() { t.Step(t.cfg.Now()) })

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.noticeAt.IsZero() || t.noticeStop != nil {
		// The lame duck ended meanwhile, or ended and began anew with a timer of its
		// own. A timer that fires late is harmless: Step looks at the clock.
		stop()
		return
	}
	t.noticeStop = stop
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
	t.arrivedBefore = t.arrivals.recent(t.tickAt(now))
	t.leaveID.Store(t.lastID)
	t.noticeAt = now.Add(t.cfg.NoticeAfter)
	t.beginAccount()
	t.switchTo(Leaving, now)
	return true
}

// Notice begins the goodbyes of the lame duck now instead of after NoticeAfter: on a
// hand-over, or when the balancers acknowledged. Outside Leaving it does nothing.
func (t *Tracker) Notice() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == Leaving {
		t.beginNotice()
	}
}

// stepLeaving begins the goodbyes when it is time. Call with mu held.
func (t *Tracker) stepLeaving(now time.Time) (next time.Time) {
	if t.noticeAt.IsZero() {
		return time.Time{}
	}
	if now.Before(t.noticeAt) {
		return t.noticeAt
	}
	t.beginNotice()
	return time.Time{}
}

// beginNotice tells those who were here before Leave. Call with mu held.
func (t *Tracker) beginNotice() {
	t.endNotice()
	t.tell(t.leaveID.Load())
}

// endNotice forgets the timer of the notice. Call with mu held.
func (t *Tracker) endNotice() {
	t.noticeAt = time.Time{}
	if t.noticeStop != nil {
		t.noticeStop()
		t.noticeStop = nil
	}
}

// tell makes Goodbye true for IDs up to id. Call with mu held.
func (t *Tracker) tell(id uint64) {
	if !t.cfg.Faults.GoodbyeNever {
		t.tellUpTo.Store(id)
	}
}
