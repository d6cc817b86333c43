package replica

import (
	"sync"
	"time"
)

// Phase is what a replica does for the balancer.
type Phase int

// The phases, in the order of a life.
const (
	Starting Phase = iota
	Ready
	LameDuck // told to go, not ready, still accepting
	Draining // accepts nothing, or so it is meant
	Gone
)

func (p Phase) String() string {
	return [...]string{"starting", "ready", "lame_duck", "draining", "gone"}[p]
}

// Change is when a phase began.
type Change struct {
	Phase Phase
	At    time.Time
}

// Timeline is the life of a replica. The zero value is empty. Safe for concurrent use.
type Timeline struct {
	mu      sync.Mutex // guards changes
	changes []Change
}

// Enter notes that a phase began; one that is not later in a life than the present is
// ignored, but for ready again after a lame duck.
func (t *Timeline) Enter(p Phase, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.changes); n > 0 {
		now := t.changes[n-1].Phase
		if p == now || p < now && !(p == Ready && now == LameDuck) {
			return
		}
	}
	t.changes = append(t.changes, Change{p, at})
}

// At is the phase of a moment.
func (t *Timeline) At(at time.Time) Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := Starting
	for _, c := range t.changes {
		if c.At.After(at) {
			break
		}
		p = c.Phase
	}
	return p
}

// Since is when a phase began; false: it never did.
func (t *Timeline) Since(p Phase) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.changes {
		if c.Phase == p {
			return c.At, true
		}
	}
	return time.Time{}, false
}

// Changes are all of them.
func (t *Timeline) Changes() []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Change(nil), t.changes...)
}
