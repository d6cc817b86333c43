package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Service is a part of the process with a life of its own. Calls never overlap: the
// next one, of any service, begins when the last has returned or was given up.
// LameDuck may be skipped, and Drain may come without Admit.
type Service interface {
	// Name is short, constant and unique: "proxy".
	Name() string
	// Start acquires what the service needs (binds, opens) and returns; it admits
	// nothing. ctx is cancelled if the process is told to stop meanwhile; it is dead
	// after Start returned. A service whose Start failed has released what it had.
	Start(ctx context.Context) error
	// Admit lets traffic in. It is called again after an undo.
	Admit() error
	// LameDuck begins the goodbye while still accepting. It returns at once.
	LameDuck()
	// Drain takes nothing new and finishes the old. The deadline of ctx is the budget,
	// already past if others used it up; if ctx is cancelled, it cuts. Work that had to
	// be cut is not an error: it is in the receipt.
	Drain(ctx context.Context) error
	// Close releases everything, by force. It is called once, after every Drain.
	Close() error
}

// Lingerer is a Service whose Drain waits for something that comes only when the others are drained, like a last look at
// what became of it. That takes at most Linger, from its call on, beyond the budget of the drain and within that of the stop.
// Linger is asked once, at Register; 0 is a Service like any other.
type Lingerer interface {
	Service
	Linger() time.Duration
}

// Verb is a method of Service.
type Verb int

// The verbs, in the order of a life.
const (
	VerbStart Verb = iota
	VerbAdmit
	VerbLameDuck
	VerbDrain
	VerbClose
)

// String returns the verb in lower case, as errors write it.
func (v Verb) String() string {
	switch v {
	case VerbStart:
		return "start"
	case VerbAdmit:
		return "admit"
	case VerbLameDuck:
		return "lame duck"
	case VerbDrain:
		return "drain"
	case VerbClose:
		return "close"
	}
	return "Verb(" + strconv.Itoa(int(v)) + ")"
}

// Errors that callers decide on.
var (
	// ErrTooLate refuses an undo or an acknowledgement after listeners began to close.
	ErrTooLate = errors.New("too late: draining has begun")
	// ErrNotLameDuck refuses an acknowledgement when there is no lame duck.
	ErrNotLameDuck = errors.New("not in the lame duck")
	// ErrCannotUndo refuses an undo because something failed: the process will stop.
	ErrCannotUndo = errors.New("cannot undo: the process is stopping because something failed")
)

// Causes of a cancelled context.
var (
	errStopping = errors.New("the process was told to stop")
	errCutNow   = errors.New("told to cut what is left")
)

// StuckError names a service that did not return in time.
type StuckError struct {
	Service string
	Verb    Verb
	After   time.Duration // since the call
}

// Error names the culprit.
func (e *StuckError) Error() string {
	return fmt.Sprintf("%s %s: did not return within %s", e.Verb, e.Service, e.After.Round(time.Millisecond))
}
