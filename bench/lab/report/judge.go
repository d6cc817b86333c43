package report

import (
	"fmt"
	"io"
	"time"
)

// Exit codes.
const (
	ExitOK        = 0 // nothing lost, and every restart proven
	ExitLost      = 1 // something was lost, or a limit was broken
	ExitUsage     = 2
	ExitUnproven  = 3 // a restart was not made, or not proven
	ExitGenerator = 4 // the generator could not keep up: the run says nothing
)

// Limits are what a run must keep to. The zero value: nothing may be lost.
type Limits struct {
	MaxLost int
	MaxGap  time.Duration // 0: none
	P99     time.Duration // of all classes that are quick; 0: none
}

// Verdict is what a run is worth.
type Verdict struct {
	Exit    int      `json:"exit"`
	Reasons []string `json:"reasons,omitempty"`
}

func (v *Verdict) say(exit int, format string, args ...any) {
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	// A generator that failed makes everything else meaningless, and an unproven restart
	// makes a count of losses meaningless.
	v.Exit = max(v.Exit, exit)
}

// Judge holds a run against limits.
func Judge(r Run, l Limits) Verdict {
	v := Verdict{}
	if !r.Generator.Valid {
		v.say(ExitGenerator, "the generator could not keep up, so this run says nothing: %s", r.Generator.Why)
	}
	if r.Error != "" {
		v.say(ExitUnproven, "the plan was not played to its end: %s", r.Error)
	}
	for _, one := range r.Restarts {
		if !one.Proven && r.Error == "" {
			v.say(ExitUnproven, "the restart of %s is not proven: %s", one.Replica, one.Why)
		}
	}
	if len(r.Restarts) == 0 && r.Error == "" {
		v.say(ExitUnproven, "nothing was restarted")
	}
	lost := r.Total.Lost - r.Excused
	if lost > l.MaxLost {
		v.say(ExitLost, "%d lost, at most %d may be", lost, l.MaxLost)
	}
	if n := r.Total.Refused; n > 0 && !r.Plan.Outage() && !r.Plan.Excuses() && lost+n > l.MaxLost {
		v.say(ExitLost, "%d refused where there was always somebody to send to", n)
	}
	if len(r.ExecutedTwice) > 0 {
		v.say(ExitLost, "%d requests that must not be sent again were executed twice, %q among them", len(r.ExecutedTwice), r.ExecutedTwice[:min(3, len(r.ExecutedTwice))])
	}
	if gap := time.Duration(r.Gap.MS) * time.Millisecond; l.MaxGap > 0 && gap > l.MaxGap {
		v.say(ExitLost, "%v without a success, at most %v", gap, l.MaxGap)
	}
	if p99 := r.quickP99(); l.P99 > 0 && p99 > l.P99 {
		v.say(ExitLost, "p99 is %v, at most %v", p99, l.P99)
	}
	return v
}

// quickP99 is the worst p99 of the quick classes.
func (r Run) quickP99() (worst time.Duration) {
	for _, c := range r.Classes {
		if c.Class == "short" || c.Class == "keep-alive" || c.Class == "per-request" {
			worst = max(worst, time.Duration(c.Latency.P99US)*time.Microsecond)
		}
	}
	return worst
}

// tell writes a verdict in a line or more.
func tell(out io.Writer, r Run, v Verdict) {
	switch {
	case v.Exit != ExitOK:
	case r.Excused > 0:
		fmt.Fprintf(out, "OK: %d lost, %d of them in flight on replicas that were killed, or on their way to one; every restart proven\n", r.Total.Lost, r.Excused)
	case r.Total.Refused > 0:
		fmt.Fprintf(out, "OK: %d lost of %d, every restart proven; %d refused while nobody served, by the plan\n", r.Total.Lost, r.Total.Sent, r.Total.Refused)
	default:
		fmt.Fprintf(out, "OK: %d lost of %d, every restart proven\n", r.Total.Lost, r.Total.Sent)
	}
	for _, why := range v.Reasons {
		fmt.Fprintf(out, "FAIL (exit %d): %s\n", v.Exit, why)
	}
}
