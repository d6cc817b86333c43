package wheel

import "time"

const (
	// Tick is the granularity: how late a timer may be.
	Tick  = 16 * time.Millisecond
	slots = 1024 // one turn is about 16 s; longer timers go round again
)

// Node is one timer, embedded in what it belongs to. The zero Node is disarmed.
// A node belongs to one wheel at a time.
type Node struct {
	next, prev *Node
	due        int64 // tick number
	Owner      any   // set by the owner, once; the wheel does not look at it
	Kind       uint8 // the same
}

// Armed reports whether the timer is waiting to fire.
func (n *Node) Armed() bool { return n.next != nil }

// Wheel holds armed timers. The zero Wheel is empty and ready. Not safe for
// concurrent use: the loop owns it.
type Wheel struct {
	ring  [slots]Node // list heads; a head that points to itself is empty
	base  time.Time   // tick 0; set by the first Arm
	cur   int64       // every tick below cur was popped
	armed int
}

func (w *Wheel) tick(t time.Time) int64 { return int64(t.Sub(w.base) / Tick) }

// Arm makes n fire once when d has passed since now; it moves a timer that is
// armed already. d <= 0 fires at the next Pop.
func (w *Wheel) Arm(n *Node, now time.Time, d time.Duration) {
	w.begin(now)
	w.place(n, w.due(now, d))
}

// begin sets tick 1 and the empty lists, once. Tick 0 is never due: it means disarmed.
func (w *Wheel) begin(now time.Time) {
	if !w.base.IsZero() {
		return
	}
	w.base, w.cur = now.Add(-Tick), 1
	for i := range w.ring {
		h := &w.ring[i]
		h.next, h.prev = h, h
	}
}

// due is the tick from which on a timer of d fires. Rounded up and one more: tick k ends at
// (k+1)*Tick, and a timer never fires early.
func (w *Wheel) due(now time.Time, d time.Duration) int64 {
	if d <= 0 {
		return w.cur
	}
	return max(int64((now.Sub(w.base)+d)/Tick)+1, w.cur)
}

// place puts n into the list of a tick, from wherever it is.
func (w *Wheel) place(n *Node, due int64) {
	if n.Armed() {
		if n.due == due {
			return
		}
		w.Disarm(n)
	}
	n.due = due
	h := &w.ring[due%slots]
	n.prev, n.next = h.prev, h
	h.prev.next = n
	h.prev = n
	w.armed++
}

// Disarm takes n out; on a disarmed timer it does nothing.
func (w *Wheel) Disarm(n *Node) {
	if !n.Armed() {
		return
	}
	n.prev.next, n.next.prev = n.next, n.prev
	n.next, n.prev = nil, nil
	w.armed--
}

// Pop takes out one timer that is due at now, disarmed; nil when there is none left.
// Timers armed for "at once" by what the caller does between two Pops are popped too.
func (w *Wheel) Pop(now time.Time) *Node {
	if w.armed == 0 {
		if !w.base.IsZero() {
			w.cur = max(w.cur, w.tick(now))
		}
		return nil
	}
	end := w.tick(now)
	// After a long sleep one turn of the ring shows every slot.
	if end-w.cur >= slots {
		w.cur = max(w.cur, w.earliest(end))
	}
	for ; w.cur <= end; w.cur++ {
		h := &w.ring[w.cur%slots]
		for n := h.next; n != h; n = n.next {
			if n.due <= w.cur {
				w.Disarm(n)
				return n
			}
		}
	}
	w.cur = end // timers may still be added to the current tick
	return nil
}

// earliest is the smallest due tick of all timers, or end if that is smaller.
func (w *Wheel) earliest(end int64) int64 {
	for i := range w.ring {
		h := &w.ring[i]
		for n := h.next; n != h; n = n.next {
			end = min(end, n.due)
		}
	}
	return end
}

// Next is when Pop should be called next; false if no timer is armed.
func (w *Wheel) Next() (time.Time, bool) {
	if w.armed == 0 {
		return time.Time{}, false
	}
	for t := w.cur; t < w.cur+slots; t++ {
		h := &w.ring[t%slots]
		for n := h.next; n != h; n = n.next {
			if n.due <= t {
				return w.base.Add(time.Duration(t) * Tick), true
			}
		}
	}
	return w.base.Add(time.Duration(w.earliest(1<<62)) * Tick), true
}

// When is the moment from which on Pop gives n out. n must be armed.
func (w *Wheel) When(n *Node) time.Time { return w.base.Add(time.Duration(n.due) * Tick) }
