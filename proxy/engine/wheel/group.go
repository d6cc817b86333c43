package wheel

import "time"

// GroupSize is how many timers a [Group] has.
const GroupSize = 4

// Group is the timers of one owner, for a place of one in the wheel. Arming one that is due
// later than another, and disarming, is one store: the group is looked at when the first of
// all that were armed would have been due, and then goes on to the next. The zero Group is
// disarmed.
type Group struct {
	Node
	at [GroupSize]int64 // tick number; 0: disarmed
}

// Arm makes Pop give out i once, when d has passed since now; it moves one that is armed
// already. d <= 0 is at once. True: the wheel may want to be looked at earlier than before.
func (g *Group) Arm(w *Wheel, i int, now time.Time, d time.Duration) bool {
	w.begin(now)
	due := w.due(now, d)
	g.at[i] = due
	if g.Armed() && due >= g.Node.due {
		return false
	}
	w.place(&g.Node, due)
	return true
}

// Disarm takes i out.
func (g *Group) Disarm(i int) { g.at[i] = 0 }

// DisarmAll takes all out.
func (g *Group) DisarmAll(w *Wheel) {
	g.at = [GroupSize]int64{}
	w.Disarm(&g.Node)
}

// Pop gives out one timer that is due, disarmed; -1 when there is none left, and then the group
// is in the wheel again for what is not due yet. Call it until then when the wheel gave out
// the node.
func (g *Group) Pop(w *Wheel, now time.Time) int {
	end := w.tick(now)
	next := int64(0)
	for i, at := range g.at {
		switch {
		case at == 0:
		case at <= end:
			g.at[i] = 0
			return i
		case next == 0 || at < next:
			next = at
		}
	}
	if next != 0 && (!g.Armed() || next < g.Node.due) {
		w.place(&g.Node, next)
	}
	return -1
}
