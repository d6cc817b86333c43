package admin

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Bounds of the histograms of a drain, in seconds.
func drainBuckets() []float64 {
	return []float64{.1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300}
}

// collectDrain reads the drain under way, or the finished one: there is one in a life.
func (c *collector) collectDrain(e emitter) {
	s := read(c.s.Tracker)
	draining := s.State == drain.Draining || s.State == drain.Drained
	var r drain.Receipt
	if draining { // before, an undo may make the account void: counters would go back
		r = read(c.s.Receipt)
	}
	e.value(drainDeadline, unix(s.Deadline))
	for class, n := range byClass(r.Initial) {
		e.value(drainInitial, float64(n), class)
	}
	if !draining {
		s.Groups = nil
	}
	c.collectGroups(e, drainRemaining, s.Groups)
	for outcome, n := range map[drain.Outcome]uint64{
		drain.Completed: r.Outcomes.Completed, drain.ClientClosed: r.Outcomes.ClientClosed,
		drain.IdleClosed: r.Outcomes.IdleClosed, drain.Cut: r.Outcomes.Cut, drain.Errored: r.Outcomes.Errored,
	} {
		e.value(drainClosed, float64(n), outcome.String())
	}
	e.value(drainInterrupted, float64(r.Exchanges.Interrupted))

	for _, name := range []string{drain.PhaseLameDuck, drain.PhaseDrain, drain.PhaseCut} {
		h := newTally(drainBuckets())
		for _, p := range r.Phases {
			if p.Name == name && !p.Ended.IsZero() {
				h.observe(max(0, p.Ended.Sub(p.Began)).Seconds())
			}
		}
		e.observed(drainPhase, h, name)
	}
	for _, clean := range []bool{true, false} {
		h := newTally(drainBuckets())
		if s.State == drain.Drained && r.Clean() == clean {
			h.observe(r.Took().Seconds())
		}
		outcome := "cut"
		if clean {
			outcome = "clean"
		}
		e.observed(drainDuration, h, outcome)
	}
	c.collectLastDrain(e)
}

// collectLastDrain tells how the life before this one ended, because Prometheus seldom
// scrapes a process that is about to exit.
func (c *collector) collectLastDrain(e emitter) {
	r := c.s.LastDrain
	if r == nil {
		return
	}
	var ended time.Time
	if n := len(r.Phases); n > 0 {
		ended = r.Phases[n-1].Ended
	}
	e.value(lastDrainTime, unix(ended))
	e.value(lastDrainDuration, r.Took().Seconds())
	e.value(lastDrainInitial, float64(r.Initial.Total()))
	e.value(lastDrainCut, float64(r.CutTotal+r.StuckTotal))
	e.value(lastDrainInterrupted, float64(r.Exchanges.Interrupted))
}
