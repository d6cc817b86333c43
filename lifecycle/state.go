package lifecycle

import (
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// State is the state of the process: the very type that health answers probes from, so
// that what is and what is told cannot be two lists.
//
//	            all targets ready, all admitted            signal, failure, drain by API
//	Starting ──────────────────────────────────▶ Serving ──────────────────────────────▶ LameDuck
//	   │                                         │   ▲                                   │   │
//	   │                                         │   └────────────── undo ───────────────┘   │
//	   │ signal, failure, drain by API           │ interrupt at a terminal,                  │ quiet, max, ack,
//	   │                                         │ or no lame duck                           │ second signal
//	   ▼                                         ▼                                           ▼
//	Draining ◀───────────────────────────────────┴───────────────────────────────────────────┘
//	   │
//	   ├──▶ Drained (asked for by API: parked until a signal) ──┐
//	   ▼                                                        ▼
//	Stopped, or Failed if anything went wrong  ◀────────────────┘
type State = health.Process

// The states.
const (
	Starting = health.ProcessStarting
	Serving  = health.ProcessServing
	LameDuck = health.ProcessLameDuck
	Draining = health.ProcessDraining
	Drained  = health.ProcessDrained
	Stopped  = health.ProcessStopped
	Failed   = health.ProcessFailed
)

// Transition is one edge that was taken.
type Transition struct {
	At       time.Time
	From, To State
	Reason   string
	By       End // of the edge from LameDuck to Draining
}

// End is what ended a lame duck. The set is closed: it is in the receipt.
type End int

// The ends. EndNone is of every other edge.
const (
	EndNone         End = iota
	EndMin              // it was quiet before the minimum was over
	EndQuiet            // after the minimum, balancers stopped sending
	EndMax              // they did not, or there were too few arrivals to judge
	EndAcknowledged     // somebody said that they had stopped
	EndSignal           // a second signal
	EndHandedOver       // the successor stands
	EndBudget           // nothing was left of the budget of the stop
)

// String returns the end in snake_case, as in the receipt.
func (e End) String() string {
	switch e {
	case EndNone:
		return "none"
	case EndMin:
		return "min"
	case EndQuiet:
		return "quiet"
	case EndMax:
		return "max"
	case EndAcknowledged:
		return "acknowledged"
	case EndSignal:
		return "signal"
	case EndHandedOver:
		return "handed_over"
	case EndBudget:
		return "budget"
	}
	return "End(" + strconv.Itoa(int(e)) + ")"
}

// String reads "Serving => LameDuck".
func (t Transition) String() string { return t.From.String() + " => " + t.To.String() }

// follows reports whether the edge is in the diagram.
func follows(from, to State) bool {
	switch from {
	case Starting:
		return to == Serving || to == Draining
	case Serving:
		return to == LameDuck || to == Draining
	case LameDuck:
		return to == Serving || to == Draining
	case Draining:
		return to == Drained || to == Stopped || to == Failed
	case Drained:
		return to == Stopped || to == Failed
	case Stopped, Failed:
		return false
	}
	return false
}

// stage is where the machine stands: finer than State, and the only thing it
// remembers about that. Each stage belongs to one state.
type stage int

const (
	stageNew       stage = iota
	stageStarting        // Starting: Start of each service
	stageWaiting         // Starting: for targets
	stageAdmitting       // Starting: Admit of each service
	stageServing         // Serving
	stageTurn            // Serving: told to stop, waits for its turn among others
	stageLameDuck        // LameDuck: LameDuck of each service, then for quiet
	stageReadmit         // LameDuck: undo, Admit of each service
	stageDraining        // Draining: Drain of each service, in reverse
	stageParked          // Drained
	stageClosing         // Draining or Drained: Close of each service, in reverse
	stageOver            // Stopped or Failed
)
