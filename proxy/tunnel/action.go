package tunnel

import (
	"iter"
	"time"
)

// Side is one of the two ends of a tunnel.
type Side uint8

// The sides.
const (
	Downstream Side = iota // the client
	Upstream               // the origin
)

// Other is the opposite side.
func (s Side) Other() Side { return s ^ 1 }

func (s Side) String() string {
	switch s {
	case Downstream:
		return "downstream"
	case Upstream:
		return "upstream"
	}
	return "invalid"
}

// Op is what the owner of a tunnel has to do.
type Op uint8

// The operations.
const (
	CloseWrite Op = iota // send FIN to Side, behind everything queued
	Pause                // stop reading Side
	Resume               // read Side again
	Arm                  // call Timer after After, replacing what was armed; 0 disarms
	Finish               // release both connections; Outcome says why. Nothing follows
)

func (o Op) String() string {
	switch o {
	case CloseWrite:
		return "close_write"
	case Pause:
		return "pause"
	case Resume:
		return "resume"
	case Arm:
		return "arm"
	case Finish:
		return "finish"
	}
	return "invalid"
}

// Action is one thing to do. Which fields count depends on Op.
type Action struct {
	Op      Op
	Side    Side
	After   time.Duration
	Outcome Outcome
}

// Actions is what an event asks for, to be done in order. It is a value without
// pointers: an event costs no allocation.
type Actions struct {
	list [3]Action
	n    int
}

// All yields the actions in order.
func (a Actions) All() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for i := range a.n {
			if !yield(a.list[i]) {
				return
			}
		}
	}
}

// Len is the number of actions.
func (a Actions) Len() int { return a.n }

func (a *Actions) add(x Action) {
	a.list[a.n] = x
	a.n++
}

// Outcome says how a tunnel ended, and through whom.
type Outcome struct {
	Cause Cause
	Side  Side // Completed: who ended first; Broken: whose connection broke; TimedOut: who was waited for
}

// Cause is why a tunnel ended. The strings are fit for a metric label.
type Cause uint8

// The causes. The zero value is not a cause.
const (
	_         Cause = iota
	Completed       // both sides ended, everything was delivered
	Idle            // no byte moved for Config.Idle
	TimedOut        // one side was gone, and nothing moved for Config.HalfOpen
	Broken          // a connection broke before its side had ended
	Cut             // evicted
)

func (c Cause) String() string {
	switch c {
	case Completed:
		return "completed"
	case Idle:
		return "idle"
	case TimedOut:
		return "half_open_timeout"
	case Broken:
		return "broken"
	case Cut:
		return "cut"
	}
	return "invalid"
}

// Clean reports whether the two connections may be closed in good order. Any other end
// must look like one: reset, so that a truncated transfer is not taken for a whole one.
func (o Outcome) Clean() bool { return o.Cause == Completed }
