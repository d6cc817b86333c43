package admin

import (
	"slices"
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
	for outcome, n := range byOutcome(r.Outcomes) {
		e.value(drainClosed, float64(n), outcome.String())
	}
	e.value(drainInterrupted, float64(r.Exchanges.Interrupted))

	for _, name := range phases() {
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

// phases are the values of the label phase.
func phases() []string {
	return []string{drain.PhaseLameDuck, drain.PhaseClose, drain.PhaseDrain, drain.PhaseCut}
}

func byOutcome(n drain.OutcomeCounts) map[drain.Outcome]uint64 {
	return map[drain.Outcome]uint64{
		drain.Completed: n.Completed, drain.ClientClosed: n.ClientClosed,
		drain.IdleClosed: n.IdleClosed, drain.Cut: n.Cut, drain.Errored: n.Errored,
	}
}

// collectLastDrain tells how the life before this one ended, or the generation that was the
// last to drain, because Prometheus seldom scrapes a process that is about to exit.
func (c *collector) collectLastDrain(e emitter) {
	r := read(c.s.LastDrain)
	if r == nil {
		return
	}
	e.value(lastDrainTime, unix(r.EndedAt()))
	e.value(lastDrainDuration, r.Took().Seconds())
	e.value(lastDrainInitial, float64(r.Initial.Total()))
	e.value(lastDrainCut, float64(r.CutTotal+r.StuckTotal))
	e.value(lastDrainInterrupted, float64(r.Exchanges.Interrupted))
	for outcome, n := range byOutcome(r.Outcomes) {
		e.value(lastDrainClosed, float64(n), outcome.String())
	}
	e.value(lastDrainTold, float64(r.Told))
	lasted := map[string]time.Duration{}
	for _, p := range r.Phases {
		if slices.Contains(phases(), p.Name) { // a file may hold anything
			lasted[p.Name] += max(0, p.Ended.Sub(p.Began))
		}
	}
	for name, d := range lasted {
		e.value(lastDrainPhase, d.Seconds(), name)
	}
	e.value(lastDrainUnsent, float64(r.Unsent))
	e.value(lastDrainExpectedLoss, r.LossBound)
	e.value(lastDrainActualLoss, float64(r.ActualLoss))
	residue := 0
	for _, l := range r.Listeners {
		residue += l.Residue
	}
	e.value(lastDrainResidue, float64(residue))
	if k := r.Kernel; k != nil {
		for event, n := range kernelEvents(*k) {
			e.value(lastDrainKernel, float64(n), event)
		}
	}
}

// kernelEvents gives the counts their labels.
func kernelEvents(k drain.Witness) map[string]uint64 {
	return map[string]uint64{
		"out_rsts": k.OutRsts, "abort_on_close": k.AbortOnClose, "abort_on_data": k.AbortOnData,
		"listen_overflows": k.ListenOverflows, "listen_drops": k.ListenDrops, "syncookies_sent": k.SyncookiesSent,
	}
}
