package fleet

import (
	"time"
)

// Status is how a member stands with its fleet.
type Status struct {
	ID         string    `json:"id"`
	Instance   string    `json:"instance"`
	Registered bool      `json:"registered"`           // the store has what this process says of itself; not known once it was silent for longer than the lease
	Answered   time.Time `json:"answered,omitzero"`    // when the store answered last
	Error      string    `json:"error,omitempty"`      // of the store; empty: it answers
	Since      time.Time `json:"since,omitzero"`       // since when it does not
	Waiting    bool      `json:"waiting"`              // for a turn
	Before     int       `json:"before,omitempty"`     // how many are before it in the line, when it looked last
	Turn       Outcome   `json:"turn,omitempty"`       // of the stop that runs
	Budget     string    `json:"budget"`               // fleet.budget
	Failures   uint64    `json:"store_failures_total"` // calls of the store that failed
	LeasesLost uint64    `json:"leases_lost_total"`    // leases that were over before they were renewed
	Turns      TurnCount `json:"turns"`                // what came of asking
}

// TurnCount counts turns by what came of asking for them.
type TurnCount struct {
	Given      uint64 `json:"given"`
	StoreAway  uint64 `json:"store_away"`
	NotAwaited uint64 `json:"not_awaited"` // a deadline, one more signal, or an undo
}

// Status returns how this process stands.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := &m.desk
	s := Status{ID: d.self.ID, Instance: d.self.Instance, Registered: d.wrote != nil && m.cfg.Now().Before(d.okAt.Add(d.ttl)), Answered: d.okAt, Since: d.failing, Waiting: d.asking, Turn: d.outcome,
		Budget: d.budget.String(), Failures: d.counts.Failures, LeasesLost: d.counts.LeasesLost,
		Turns: TurnCount{d.counts.Turns[OutcomeGiven], d.counts.Turns[OutcomeAway], d.counts.Turns[OutcomeGone]}}
	if d.asking {
		s.Before = d.before
	}
	if d.failed != nil {
		s.Error = d.failed.Error()
	}
	return s
}
