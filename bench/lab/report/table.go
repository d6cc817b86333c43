package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func ms(us int64) string {
	d := time.Duration(us) * time.Microsecond
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// Table writes what a run came to.
func Table(out io.Writer, r Run) {
	if r.Skipped != "" {
		fmt.Fprintf(out, "%s: skipped: %s\n", r.Proxy, r.Skipped)
		return
	}
	s := r.Settings
	fmt.Fprintf(out, "%s %s, plan %s: %d replicas, %.0f arrivals/s for %.0f s, lame duck %v, drain %v, balancer %s (poll %v, propagation %v), seed %d\n\n",
		r.Proxy, r.Version, r.Plan, s.Replicas, s.Rate, r.Seconds, msd(s.LameDuckMS), msd(s.DrainMS), s.Balancer, msd(s.PollMS), msd(s.PropagationMS), s.Seed)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "class\tsent\tok\tlost\trefused\tp50\tp90\tp99\tmax\t  failed by")
	for _, c := range append(slices.Clone(r.Classes), r.Total) {
		l := c.Latency
		p := [4]string{ms(l.P50US), ms(l.P90US), ms(l.P99US), ms(l.MaxUS)}
		if c.Class == r.Total.Class {
			p = [4]string{} // of everything together it says nothing
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t  %s\n", c.Class, c.Sent, c.OK, c.Lost, c.Refused, p[0], p[1], p[2], p[3], causes(c.Causes))
	}
	_ = w.Flush()
	fmt.Fprintln(out)
	restartsTable(out, r)
	failureList(out, r, 12)
	g := r.Generator
	if r.Verdict != nil {
		defer tell(out, r, *r.Verdict)
	}
	fmt.Fprintf(out, "longest gap between successes %v; generator late p99 %s, at most %s\n", msd(r.Gap.MS), ms(g.LagP99US), ms(g.LagMaxUS))
}

func msd(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func causes(m map[string]int) string {
	var parts []string
	for cause, n := range m {
		parts = append(parts, fmt.Sprintf("%s %d", cause, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func restartsTable(out io.Writer, r Run) {
	for _, one := range r.Restarts {
		proof := "proven"
		if !one.Proven {
			proof = "NOT PROVEN: " + one.Why
		}
		what := one.Replica
		switch {
		case one.Replica == "":
			what = "+ " + one.Successor
		case one.Successor != "" && one.Successor != one.Replica:
			what += " -> " + one.Successor
		}
		fmt.Fprintf(out, "restart %-14s %6.2f s to %6.2f s  %s -> %s  %s", what, one.Began.Sub(r.Began).Seconds(), one.Ended.Sub(r.Began).Seconds(),
			short(one.Before.String(), one.Replica == ""), short(one.After.String(), one.Successor == ""), proof)
		if !one.KilledAt.IsZero() {
			fmt.Fprintf(out, "; %d in flight when it was killed", len(one.InFlight))
		}
		fmt.Fprintln(out)
	}
	for _, one := range r.Replicas {
		fmt.Fprintf(out, "replica %-14s %s\n", one.Name, life(one))
	}
}

func short(s string, none bool) string {
	if none {
		return "-"
	}
	return s
}

// life is how long a replica was in each phase.
func life(r Replica) string {
	var parts []string
	for i, p := range r.Phases {
		if i+1 < len(r.Phases) {
			parts = append(parts, fmt.Sprintf("%s %.2f s", p.Phase, float64(r.Phases[i+1].AtMS-p.AtMS)/1000))
		} else {
			parts = append(parts, p.Phase)
		}
	}
	return strings.Join(parts, ", ")
}

// failureList names some failures, of each cause a few.
func failureList(out io.Writer, r Run, most int) {
	if len(r.Failures) == 0 {
		return
	}
	each := map[string]int{}
	fmt.Fprintln(out)
	for _, f := range r.Failures {
		key := f.Class + f.Cause
		if each[key]++; each[key] > 2 || most == 0 {
			continue
		}
		most--
		where := f.Replica
		if f.Phase != "" {
			where += " " + f.Phase
		}
		fmt.Fprintf(out, "  %7.3f s  %-16s %-22s %-16s connection %d ms old, use %d: %s\n", float64(f.AtMS)/1000, f.ID, f.Cause, where, f.ConnAgeMS, f.ConnUses, f.Likely)
	}
	if n := r.Total.Sent - r.Total.OK; n > len(r.Failures) {
		fmt.Fprintf(out, "  ... %d failed in all\n", n)
	}
	fmt.Fprintln(out)
}
