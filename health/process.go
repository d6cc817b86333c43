package health

import (
	"fmt"
	"strconv"
	"time"
)

// Process is the state of the whole process. package lifecycle owns the edges; here it
// is what probes are answered from.
//
//	process state   admitted?   ready?   live?
//	Starting        no          no       yes
//	Serving         yes         yes      yes
//	LameDuck        yes         no       yes
//	Draining        no          no       yes
//	Drained         no          no       yes    (parked: a drain asked for by API)
//	Stopped         no          no       no
//	Failed          no          no       no
type Process int

// The states. The zero Process is starting: not ready.
const (
	ProcessStarting Process = iota
	ProcessServing
	ProcessLameDuck
	ProcessDraining
	ProcessDrained
	ProcessStopped
	ProcessFailed
	numProcesses
)

// String returns the state as logs and the transition log write it.
func (p Process) String() string {
	switch p {
	case ProcessStarting:
		return "Starting"
	case ProcessServing:
		return "Serving"
	case ProcessLameDuck:
		return "LameDuck"
	case ProcessDraining:
		return "Draining"
	case ProcessDrained:
		return "Drained"
	case ProcessStopped:
		return "Stopped"
	case ProcessFailed:
		return "Failed"
	}
	return "Process(" + strconv.Itoa(int(p)) + ")"
}

// Label returns the state in snake_case, as metrics and JSON write it.
func (p Process) Label() string {
	switch p {
	case ProcessStarting:
		return "starting"
	case ProcessServing:
		return "serving"
	case ProcessLameDuck:
		return "lame_duck"
	case ProcessDraining:
		return "draining"
	case ProcessDrained:
		return "drained"
	case ProcessStopped:
		return "stopped"
	case ProcessFailed:
		return "failed"
	}
	return "unknown"
}

// Processes lists every state, for metrics that create all label values at start.
func Processes() []Process {
	all := make([]Process, 0, numProcesses)
	for p := range numProcesses {
		all = append(all, p)
	}
	return all
}

// Live reports whether a supervisor should leave the process alone.
func (p Process) Live() bool { return p < ProcessStopped }

// Accepting reports whether new connections are taken.
func (p Process) Accepting() bool { return p == ProcessServing || p == ProcessLameDuck }

// MarshalText is Label.
func (p Process) MarshalText() ([]byte, error) { return []byte(p.Label()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Process) UnmarshalText(b []byte) error {
	for q := range numProcesses {
		if q.Label() == string(b) {
			*p = q
			return nil
		}
	}
	return fmt.Errorf("unknown process state %q", b)
}

// ProcessReport is the state of the process, since when, and why.
type ProcessReport struct {
	State   Process   `json:"state"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason,omitempty"`
	Started bool      `json:"started"` // Serving was reached once
}
