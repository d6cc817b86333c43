package admin

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// collectGenerations tells how those drain who served at these addresses before: nobody
// can scrape them any more. A process knows only those that drained when it was started,
// and those are few.
func (c *collector) collectGenerations(e emitter) {
	if c.s.Generation > 0 {
		e.value(generationNumber, float64(c.s.Generation))
	}
	for _, g := range read(c.s.Generations) {
		n := strconv.Itoa(g.Generation)
		for _, state := range []string{generationDraining, generationDrained, generationGone} {
			e.flag(generationState, state == g.State, n, state)
		}
		var r drain.Receipt
		if g.Receipt != nil {
			r = *g.Receipt
		}
		for class, v := range byClass(r.Initial) {
			e.value(generationInitial, float64(v), n, class)
		}
		for class, v := range byClass(g.Drain.Remaining) {
			e.value(generationRemaining, float64(v), n, class)
		}
		var deadline time.Time
		if g.State == generationDraining {
			deadline = g.Drain.Until
		}
		e.value(generationDeadline, unix(deadline), n)
		for outcome, v := range map[drain.Outcome]uint64{
			drain.Completed: r.Outcomes.Completed, drain.ClientClosed: r.Outcomes.ClientClosed,
			drain.IdleClosed: r.Outcomes.IdleClosed, drain.Cut: r.Outcomes.Cut, drain.Errored: r.Outcomes.Errored,
		} {
			e.value(generationClosed, float64(v), n, outcome.String())
		}
		e.value(generationInterrupted, float64(r.Exchanges.Interrupted), n)
	}
}
