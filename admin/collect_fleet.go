package admin

import "github.com/sluiceproxy/sluice/internal/fleet"

// collectFleet tells how this process stands with its fleet. Without one there is nothing.
func (c *collector) collectFleet(e emitter) {
	s := read(c.s.Fleet)
	if s == nil {
		return
	}
	e.flag(fleetRegistered, s.Registered)
	e.flag(fleetStoreUp, s.Error == "" && !s.Answered.IsZero())
	e.value(fleetStoreFailures, float64(s.Failures))
	e.value(fleetLeasesLost, float64(s.LeasesLost))
	e.flag(fleetWaiting, s.Waiting)
	for turn, n := range turnsOf(s.Turns) {
		e.value(fleetTurnsTotal, float64(n), turn)
	}
}

// turnsOf counts turns by the label.
func turnsOf(t fleet.TurnCount) map[string]uint64 {
	return map[string]uint64{string(fleet.OutcomeGiven): t.Given, string(fleet.OutcomeAway): t.StoreAway, string(fleet.OutcomeGone): t.NotAwaited}
}

// fleetTurns are the values of the label turn.
func fleetTurns() []string { return keys(turnsOf(fleet.TurnCount{})).values }
