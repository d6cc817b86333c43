package fleet

import (
	"time"
)

// Replica is what a process says of itself: replicas/<id>, as JSON. Fields may be added; those there are keep their meaning.
type Replica struct {
	ID         string    `json:"id"`
	Instance   string    `json:"instance"` // of this process alone: the next one of the same ID has another
	Host       string    `json:"host"`
	PID        int       `json:"pid"`
	Generation int       `json:"generation"` // 1, and one more with each upgrade in place
	Started    time.Time `json:"started"`
	Binary     string    `json:"binary"` // its version
	Budget     string    `json:"budget"` // fleet.budget as this process has it
	Facts
	At   time.Time `json:"at"`             // when this was written
	Last *Account  `json:"last,omitempty"` // of the life before this one, if it left any
}

// Facts is what changes in the life of a process.
type Facts struct {
	State       string `json:"state"` // of the lifecycle, in snake_case: serving, lame_duck, draining, ...
	Ready       bool   `json:"ready"`
	Leaving     bool   `json:"leaving"`         // away, or on the way: it counts against the budget
	Admin       string `json:"admin,omitempty"` // where its private listener is
	Policy      Policy `json:"policy"`
	Stale       bool   `json:"stale"`              // its policy was not seen to be the newest for longer than policy.max_staleness
	KeyRing     string `json:"key_ring,omitempty"` // hash of the keys that seal sessions
	Exchanges   int    `json:"exchanges"`          // in flight
	Connections int    `json:"connections"`        // open, of clients
}

// Policy is the version that a replica enforces.
type Policy struct {
	Number  uint64 `json:"number"`
	Hash    string `json:"hash"`    // empty: none is in force
	Ordered bool   `json:"ordered"` // numbers are the publisher's: a lower one is older
}

// sameButLoad reports whether two say the same of all that is written at once when it changes.
func (f Facts) sameButLoad(g Facts) bool {
	f.Exchanges, f.Connections = g.Exchanges, g.Connections
	return f == g
}

// Phase is where a claim stands. The set is closed.
type Phase string

// The phases.
const (
	PhaseWaiting Phase = "waiting" // it wants to leave, and serves on
	PhaseAway    Phase = "away"    // it leaves, drains or is upgraded
	PhaseEnded   Phase = "ended"   // the process is over; its next life is not ready yet
)

// Claim is that a replica is away, or wants to be: drains/<id>, as JSON.
type Claim struct {
	ID       string    `json:"id"`
	Instance string    `json:"instance"`
	Phase    Phase     `json:"phase"`
	Why      string    `json:"why,omitempty"`  // of a stop or an upgrade
	Turn     Outcome   `json:"turn,omitempty"` // how it came to be away
	Since    time.Time `json:"since"`          // of the phase
	Account  *Account  `json:"account,omitempty"`
}

// Account is what a process that ended says of its end.
type Account struct {
	Instance string    `json:"instance"`
	PID      int       `json:"pid"`
	Ended    time.Time `json:"ended"`
	Lost     int       `json:"lost"`   // cut, stuck, or interrupted
	Failed   bool      `json:"failed"` // the process ended by a failure
	Turn     Outcome   `json:"turn,omitempty"`
	Text     string    `json:"text,omitempty"` // the receipt in a line
}

// Outcome is what came of asking for a turn. The set is closed: a label of metrics.
type Outcome string

// The outcomes. OutcomeNone is of a stop that did not ask.
const (
	OutcomeNone  Outcome = ""
	OutcomeGiven Outcome = "given"
	OutcomeAway  Outcome = "store_away" // it could not be asked
	OutcomeGone  Outcome = "not_awaited"
)
