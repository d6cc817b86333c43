package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Probe is a question that somebody asks of the process.
type Probe int

// The probes.
const (
	Startup Probe = iota // has it ever been ready? (a supervisor stops giving it extra time)
	Ready                // should balancers send? (flips at SIGTERM)
	Serving              // do we still accept? (Ready and the lame duck)
	Live                 // should a supervisor leave it alone?
)

// String returns the probe in lower case.
func (p Probe) String() string {
	switch p {
	case Startup:
		return "startup"
	case Ready:
		return "ready"
	case Serving:
		return "serving"
	case Live:
		return "live"
	}
	return "Probe(" + strconv.Itoa(int(p)) + ")"
}

// Reason is a check that decided a verdict, or that somebody should look at.
type Reason struct {
	Check  string    `json:"check"`
	Status Status    `json:"status"`
	Since  time.Time `json:"since"`
	Error  string    `json:"error,omitempty"`
}

// Verdict is the answer to a probe.
type Verdict struct {
	Probe   Probe         `json:"-"`
	OK      bool          `json:"ok"`
	Process ProcessReport `json:"process"`
	Failing []Reason      `json:"failing,omitempty"`  // checks that make it not OK, or kept it from starting
	Warning []Reason      `json:"warnings,omitempty"` // checks that are not well and do not count here
}

// Verdict answers a probe. Checks named in exclude count for nothing.
//
//	Startup: Serving was reached once.
//	Ready:   the process is Serving, and every required check is RUNNING or DEGRADED.
//	Serving: the process is Serving or LameDuck, and no required check is STARTING or FAILED.
//	Live:    the process is neither Stopped nor Failed; no check counts (G6).
//
// The default is no: an unknown probe is never OK.
func (s Snapshot) Verdict(p Probe, exclude ...string) Verdict {
	v := Verdict{Probe: p, Process: s.Process}
	for _, c := range s.Checks {
		if slices.Contains(exclude, c.Name) {
			continue
		}
		reason := Reason{c.Name, c.Status, c.Since, c.Error}
		switch {
		case c.Class == Required && p.failedBy(c.Status):
			v.Failing = append(v.Failing, reason)
		case c.Status != Running || c.Error != "":
			v.Warning = append(v.Warning, reason)
		}
	}
	switch p {
	case Startup:
		v.OK = s.Process.Started
	case Ready:
		v.OK = s.Process.State == ProcessServing && len(v.Failing) == 0
	case Serving:
		v.OK = s.Process.State.Accepting() && len(v.Failing) == 0
	case Live:
		v.OK = s.Process.State.Live()
	}
	if v.OK { // after a start, what is not running any more is no reason not to have started
		v.Warning = append(v.Failing, v.Warning...)
		v.Failing = nil
	}
	return v
}

// failedBy reports whether a required check of that status speaks against the probe.
func (p Probe) failedBy(s Status) bool {
	switch p {
	case Startup:
		return s == Starting || s == Failed
	case Ready:
		return s != Running && s != Degraded
	case Serving: // TERMINATING is fine: so is every check in the lame duck
		return s == Starting || s == Failed
	case Live:
		return false
	}
	return true
}

// String is the verdict in one line, for bodies and logs:
// "not ready: Starting since 12:00:00 (waiting for init targets); policy.sync.initial STARTING since 12:00:00: etcd: no route to host".
func (v Verdict) String() string {
	if v.OK {
		return "ok"
	}
	parts := []string{fmt.Sprintf("%s since %s", v.Process.State, clock(v.Process.Since))}
	if v.Process.Reason != "" {
		parts[0] += " (" + v.Process.Reason + ")"
	}
	for _, r := range v.Failing {
		parts = append(parts, r.String())
	}
	return "not " + v.Probe.adjective() + ": " + strings.Join(parts, "; ")
}

// adjective is what a process is if the probe says yes.
func (p Probe) adjective() string {
	if p == Startup {
		return "started"
	}
	return p.String()
}

// String reads "policy.sync.initial STARTING since 12:00:00: etcd: no route to host".
// Logs, bodies and status all use these words.
func (r Reason) String() string {
	s := r.Check + " " + r.Status.String() + " since " + clock(r.Since)
	if r.Error != "" {
		s += ": " + r.Error
	}
	return s
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
