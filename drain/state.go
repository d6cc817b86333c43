package drain

import (
	"errors"
	"strconv"
)

// State is the state of a [Tracker].
//
//	       Open              Leave                BeginDrain            last Done, or
//	Shut ────────▶  Open  ──────────▶  Leaving  ─────────────▶ Draining ─────────────▶ Drained
//	 │               │ ▲                  │                     ▲  ▲     settle time
//	 │               │ └──────────────────┘ Open (undrain)      │  │
//	 │               └──────────── BeginDrain ──────────────────┘  │
//	 └──────────────────────────── BeginDrain ─────────────────────┘
//
// Track admits in Open and Leaving and nowhere else. Drained is final.
type State int

// The states. The zero State is Shut: a new tracker admits nothing.
const (
	Shut     State = iota // nothing is admitted yet
	Open                  // admitting
	Leaving               // lame duck: admitting, and saying goodbye from NoticeAfter on
	Draining              // nothing new; what is open finishes
	Drained               // the account is closed
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Shut:
		return "shut"
	case Open:
		return "open"
	case Leaving:
		return "leaving"
	case Draining:
		return "draining"
	case Drained:
		return "drained"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// follows reports whether the edge from s to next is in the diagram.
func (s State) follows(next State) bool {
	switch s {
	case Shut:
		return next == Open || next == Draining
	case Open:
		return next == Leaving || next == Draining
	case Leaving:
		return next == Open || next == Draining
	case Draining:
		return next == Drained
	case Drained:
		return false
	}
	return false
}

// Errors of the tracker. They are the whole set: everything else is a bug and panics.
var (
	// ErrShut refuses a connection before the tracker was ever opened.
	ErrShut = errors.New("shut: not admitting yet")
	// ErrDraining refuses a connection, or an Open, after draining began.
	ErrDraining = errors.New("draining: not admitting any more")
)

// Class is what a connection is doing; it decides what a drain does to it.
type Class uint8

// The classes. The zero Class is Handshake.
const (
	Handshake Class = iota // accepted, no request yet: treated as idle
	Idle                   // between two requests
	Active                 // an exchange runs
	Tunnel                 // raw bytes; a tunnel never changes class again
	Gone                   // Done was called
	numClasses
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Handshake:
		return "handshake"
	case Idle:
		return "idle"
	case Active:
		return "active"
	case Tunnel:
		return "tunnel"
	case Gone:
		return "gone"
	}
	return "Class(" + strconv.Itoa(int(c)) + ")"
}

// Cause says why the tracker asks for a connection to go.
type Cause uint8

// The causes of an eviction. The zero Cause is CauseIdle, the one that loses nothing.
const (
	// CauseIdle: it stayed idle for too long while draining. If a request arrived
	// meanwhile the owner serves it and tells it to leave instead.
	CauseIdle Cause = iota
	// CauseDeadline: the time is over. The owner cuts whatever has not finished.
	CauseDeadline
	// CauseRoute: the time is over that the Terms of its route give.
	CauseRoute
	// CauseOperator: somebody asked for this one (Evict).
	CauseOperator
	// CausePeerGone: nothing was heard of its peer for too long. The owner found that out.
	CausePeerGone
	// CausePeerStuck: its peer took nothing of what it is owed for too long. The owner found
	// that out.
	CausePeerStuck
	// CauseFarewell: the time of a tunnel (or of an exchange, where its Terms say so) is nearly
	// over. The owner may say goodbye in the protocol that it carries; whatever is left is cut
	// later.
	CauseFarewell
)

// Cuts reports whether the owner ends what has not finished, and not just what idles.
func (c Cause) Cuts() bool { return c != CauseIdle && c != CauseFarewell }

// String returns the cause in lower case.
func (c Cause) String() string {
	switch c {
	case CauseIdle:
		return "idle"
	case CauseDeadline:
		return "deadline"
	case CauseRoute:
		return "route_deadline"
	case CauseOperator:
		return "operator"
	case CausePeerGone:
		return "peer_gone"
	case CausePeerStuck:
		return "peer_stuck"
	case CauseFarewell:
		return "farewell"
	}
	return "Cause(" + strconv.Itoa(int(c)) + ")"
}

// Outcome says how a connection ended. The account believes the owner: a connection
// asked to go as idle may have finished one more exchange instead.
type Outcome uint8

// The outcomes.
const (
	Completed    Outcome = iota // ended by us, in good order, after its last exchange
	ClientClosed                // the client left
	IdleClosed                  // closed by us between exchanges
	Cut                         // we ended something that had not finished
	Errored                     // broken by the peer or the network, or ended by us because it might not go on, whether there is a drain or not
	numOutcomes
)

// String returns the outcome in snake_case, as in the receipt and the metrics.
func (o Outcome) String() string {
	switch o {
	case Completed:
		return "completed"
	case ClientClosed:
		return "client_closed"
	case IdleClosed:
		return "idle_closed"
	case Cut:
		return "cut"
	case Errored:
		return "errored"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}
