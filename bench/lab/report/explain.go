package report

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// explain makes a sample of each failure, with where it happened and why, as far as that
// can be told.
func (r *Run) explain(in Input) {
	for _, e := range in.Summary.Failures {
		f := Failure{ID: e.ID, Class: e.Class.String(), Cause: e.Cause.String(), AtMS: e.Ended.Sub(in.Summary.Began).Milliseconds(),
			TookMS: e.Ended.Sub(e.Due).Milliseconds(), ConnUses: e.Conn.Uses, RetrySafe: e.Safe, Err: e.Err, Replica: e.Replica}
		if !e.Conn.Opened.IsZero() {
			f.ConnAgeMS = e.Ended.Sub(e.Conn.Opened).Milliseconds()
		}
		if in.Executed != nil {
			f.Reached = in.Executed(e.ID) > 0
		}
		w := witness{e: e, f: &f, in: in}
		if w.member = member(in.Members, f.Replica); w.member != nil {
			f.Phase = w.member.Instance.Timeline().At(e.Ended).String()
		}
		f.Likely = w.likely()
		if f.Excused = excused(e, f.Replica, in.Restarts); f.Excused {
			r.Excused++
			f.Likely = "the replica was killed"
		}
		if len(r.Failures) < keptFailures {
			r.Failures = append(r.Failures, f)
		}
	}
}

// excused: it was lost with a replica that was killed, on a connection from before its death.
func excused(e record.Exchange, name string, restarts []plan.Restart) bool {
	for _, k := range restarts {
		if !k.KilledAt.IsZero() && k.Replica == name && e.Cause.Lost() && !e.Ended.Before(k.KilledAt) && !e.Conn.Opened.After(k.DeadAt) {
			return true
		}
	}
	return false
}

func member(all []*plan.Member, name string) *plan.Member {
	for _, m := range all {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// witness is what is known about one failure.
type witness struct {
	e      record.Exchange
	f      *Failure
	in     Input
	member *plan.Member // nil: unknown
}

// likely is one sentence.
func (w *witness) likely() string {
	switch w.e.Cause {
	case record.Refused:
		return w.refused()
	case record.NoReplica:
		return "no replica was in: they were stopped before others were ready"
	case record.ResetBefore, record.ClosedBefore:
		return w.before()
	case record.ResetMid, record.Truncated, record.NoTerminator:
		return w.within()
	case record.Status502:
		return "the proxy could not get an answer from the upstream"
	case record.Status503:
		return "the proxy refused: " + phaseSays(w.f.Phase)
	case record.Status504, record.Timeout:
		return "nothing came in time: " + phaseSays(w.f.Phase)
	case record.WrongBody:
		return "the answer is not that of this request: a mix-up on the way, or a truncation that looks whole"
	case record.Twice:
		return "somebody on the way sent it again"
	case record.OK, record.StatusOther:
	}
	return "unknown"
}

func phaseSays(phase string) string {
	if phase == "" {
		return "the phase of the replica is not known"
	}
	return "the replica was " + phase
}

// refused: when the door closed, and when the balancer knew.
func (w *witness) refused() string {
	if w.member == nil {
		return "nobody listened there"
	}
	closed, ok := w.member.Instance.Timeline().Since(replica.Draining)
	if gone, wasGone := w.member.Instance.Timeline().Since(replica.Gone); !ok || wasGone && gone.Before(closed) {
		closed, ok = gone, wasGone
	}
	if !ok {
		return "it was not listening, though it was " + w.f.Phase
	}
	for _, k := range w.in.Restarts {
		if out, known := w.out(); k.Replica == w.f.Replica && !k.KilledAt.IsZero() && known {
			return fmt.Sprintf("it was killed, and the balancer took it out %v later", out.At.Sub(k.KilledAt).Round(time.Millisecond))
		}
	}
	if out, known := w.out(); known && out.At.After(closed) {
		return fmt.Sprintf("the listener closed %v before the balancer took it out (it learned %v after): the lame duck is too short",
			out.At.Sub(closed).Round(time.Millisecond), out.Learned.Sub(closed).Round(time.Millisecond))
	}
	return "the listener had closed, and the balancer still sent"
}

// out is when the balancer stopped sending to the replica.
func (w *witness) out() (c balance.Change, ok bool) {
	for _, c := range w.in.Changes {
		if c.Backend == w.f.Replica && !c.In {
			return c, true
		}
	}
	return c, false
}

// before: nothing of an answer came.
func (w *witness) before() string {
	reused := w.e.Conn.Uses > 1
	switch {
	case w.f.Reached && w.f.Phase == replica.Gone.String():
		return "the process ended while the upstream worked: it did not wait for what was in flight, or not long enough"
	case w.f.Reached:
		return "the upstream had it, and the connection was cut: " + phaseSays(w.f.Phase)
	case reused && w.e.Ended.Sub(w.e.Began) < 50*time.Millisecond:
		return "an idle connection was closed as the request was sent: they crossed"
	case reused:
		return "a kept connection was closed and the request on it dropped"
	case w.f.Phase == replica.Draining.String() || w.f.Phase == replica.Gone.String():
		return "it was accepted, or queued, and dropped as the listener closed"
	}
	return "a new connection was closed without an answer: " + phaseSays(w.f.Phase)
}

// within: a response or a tunnel that was cut.
func (w *witness) within() string {
	if w.member == nil {
		return "cut on the way"
	}
	t := w.member.Instance.Timeline()
	if gone, ok := t.Since(replica.Gone); ok && !w.e.Ended.Before(gone.Add(-200*time.Millisecond)) {
		if began, ok := t.Since(replica.Draining); ok {
			return fmt.Sprintf("the process ended %v after it stopped accepting, and did not wait for it", gone.Sub(began).Round(10*time.Millisecond))
		}
		return "the process ended and did not wait for it"
	}
	return "cut while the replica was " + w.f.Phase
}
