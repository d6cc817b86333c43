package tunnel

import "time"

// Tunnel is the machine. Start it before any other call. It is for one owner and not
// safe for concurrent use.
type Tunnel struct {
	cfg   Config
	state State
	sides [2]side
	last  time.Time // when a byte last moved
	first Side      // who ended or broke first
}

// side is what is known of one connection. "queued" is towards it, the rest about what
// comes from it.
type side struct {
	received int64 // bytes that came from it
	queued   int   // bytes not yet taken by its kernel, as last told
	paused   bool  // its reads are stopped
	ended    bool  // it sent EOF
	closed   bool  // its connection is gone
}

// Start begins with both sides open.
func (t *Tunnel) Start(cfg Config, now time.Time) (a Actions) {
	*t = Tunnel{cfg: cfg.orDefaults(), state: Open, last: now}
	a.add(Action{Op: Arm, After: max(t.cfg.Idle, 0)})
	return a
}

// State is where the tunnel is now.
func (t *Tunnel) State() State { return t.state }

// Received is the number of bytes that came from a side.
func (t *Tunnel) Received(from Side) int64 { return t.sides[from].received }

// Bytes tells that n bytes came from a side and went to the other one's send queue,
// which holds queued bytes since. Bytes that were carried without a queue (Move) have queued 0.
func (t *Tunnel) Bytes(from Side, n, queued int, now time.Time) (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	src, dst := &t.sides[from], &t.sides[from.Other()]
	if src.ended || src.closed {
		panic("BUG: tunnel: bytes from a side after its end")
	}
	src.received += int64(n)
	t.last = now
	if dst.closed {
		return a // nobody takes them any more; the owner was told to pause
	}
	dst.queued = queued
	if queued >= t.cfg.High && !src.paused {
		src.paused = true
		a.add(Action{Op: Pause, Side: from})
	}
	return a
}

// Drained tells how many bytes are still queued towards a side, normally 0.
func (t *Tunnel) Drained(to Side, queued int, now time.Time) (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	dst, src := &t.sides[to], &t.sides[to.Other()]
	if dst.closed {
		return a
	}
	if queued < dst.queued {
		t.last = now
	}
	dst.queued = queued
	if queued <= t.cfg.Low && src.paused && !src.ended && !src.closed {
		src.paused = false
		a.add(Action{Op: Resume, Side: to.Other()})
	}
	t.finishIfDelivered(&a)
	return a
}

// EOF tells that a side will send no more. Its last bytes were told before.
func (t *Tunnel) EOF(from Side, now time.Time) (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	src, dst := &t.sides[from], &t.sides[from.Other()]
	if src.ended || src.closed {
		return a
	}
	src.ended = true
	t.last = now
	if !dst.closed {
		// FIN goes behind what is queued (the driver's promise), so passing it on at
		// once loses nothing, even with the queue full.
		a.add(Action{Op: CloseWrite, Side: from.Other()})
	}
	switch t.state {
	case Open:
		t.first = from
		t.switchTo(HalfClosed)
	case HalfClosed:
		t.switchTo(Flushing)
		if t.finishIfDelivered(&a) {
			return a
		}
	case Breaking, NotStarted, Flushing, Finished:
		return a // its timer runs already
	}
	a.add(Action{Op: Arm, After: max(t.cfg.HalfOpen, 0)})
	return a
}

// Closed tells that the connection of a side is gone. err is nil if it went in good
// order: its EOF was told and everything queued was taken.
func (t *Tunnel) Closed(gone Side, err error, now time.Time) (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	s, other := &t.sides[gone], &t.sides[gone.Other()]
	if s.closed {
		return a
	}
	s.closed, s.queued = true, 0
	t.last = now
	orderly := err == nil && s.ended && other.ended
	if !orderly && t.state != Breaking {
		t.first = gone
		t.switchTo(Breaking)
	}
	if t.finishIfDelivered(&a) {
		return a
	}
	// What this side had sent is still on its way to the other one, so that one stays;
	// but there is nobody to read it for.
	if !other.paused && !other.ended {
		other.paused = true
		a.add(Action{Op: Pause, Side: gone.Other()})
	}
	a.add(Action{Op: Arm, After: max(t.cfg.HalfOpen, 0)})
	return a
}

// Timer tells that the armed time has passed, and how much is queued towards each side.
func (t *Tunnel) Timer(now time.Time, queued [2]int) (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	for i := range t.sides {
		// A driver reports an empty queue but not a shrinking one: a slow reader is seen here.
		if s := &t.sides[i]; !s.closed && queued[i] < s.queued {
			s.queued = queued[i]
			t.last = now
		}
	}
	limit := t.cfg.HalfOpen
	if t.state == Open {
		limit = t.cfg.Idle
	}
	if limit <= 0 {
		return a
	}
	if rest := limit - now.Sub(t.last); rest > 0 {
		a.add(Action{Op: Arm, After: rest})
		return a
	}
	if t.state == Open {
		t.finish(&a, Outcome{Cause: Idle})
		return a
	}
	t.finish(&a, Outcome{Cause: TimedOut, Side: t.awaited()})
	return a
}

// awaited is the side that something is still expected of: to take what is queued, or
// to end.
func (t *Tunnel) awaited() Side {
	late := t.first.Other()
	if t.sides[t.first].queued > 0 && (t.sides[late].ended || t.sides[late].closed) {
		return t.first
	}
	return late
}

// Evict ends the tunnel now, whatever is under way: the drain deadline has passed.
func (t *Tunnel) Evict() (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	t.finish(&a, Outcome{Cause: Cut})
	return a
}

// Leave ends the machine, and neither connection: a protocol within the tunnel has come to its
// end, and the owner closes both in the order of that protocol.
func (t *Tunnel) Leave() (a Actions) {
	if t.state == Finished {
		return a
	}
	t.mustBeStarted()
	t.switchTo(Finished)
	a.add(Action{Op: Arm})
	return a
}

// finishIfDelivered ends a tunnel that both sides have left once nothing is queued.
func (t *Tunnel) finishIfDelivered(a *Actions) bool {
	if t.sides[Downstream].queued > 0 || t.sides[Upstream].queued > 0 {
		return false
	}
	switch t.state {
	case Flushing:
		t.finish(a, Outcome{Cause: Completed, Side: t.first})
	case Breaking:
		t.finish(a, Outcome{Cause: Broken, Side: t.first})
	default:
		return false
	}
	return true
}

func (t *Tunnel) finish(a *Actions, o Outcome) {
	t.switchTo(Finished)
	a.add(Action{Op: Finish, Outcome: o})
}

// switchTo is the only place where the state changes.
func (t *Tunnel) switchTo(to State) {
	legal := false
	switch t.state {
	case Open:
		legal = to == HalfClosed || to == Breaking || to == Finished
	case HalfClosed:
		legal = to == Flushing || to == Breaking || to == Finished
	case Flushing:
		legal = to == Breaking || to == Finished
	case Breaking:
		legal = to == Finished
	case NotStarted, Finished:
	}
	if !legal {
		panic("BUG: tunnel: " + t.state.String() + " => " + to.String())
	}
	t.state = to
}

func (t *Tunnel) mustBeStarted() {
	if t.state == NotStarted {
		panic("BUG: tunnel: not started")
	}
}
