package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// PeersTable writes proxies side by side: what each lost per restart, by class.
func PeersTable(out io.Writer, runs []Run) {
	var played []Run
	for _, r := range runs {
		if r.Skipped == "" {
			played = append(played, r)
		}
	}
	if len(played) > 0 {
		s := played[0].Settings
		fmt.Fprintf(out, "plan %s: %d replicas, %.0f arrivals/s, lame duck %v, drain %v, balancer %s (poll %v, propagation %v), seed %d\n",
			played[0].Plan, s.Replicas, s.Rate, msd(s.LameDuckMS), msd(s.DrainMS), s.Balancer, msd(s.PollMS), msd(s.PropagationMS), s.Seed)
		fmt.Fprintln(out, "by class: lost per restart; - : it has no such thing")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "proxy\trestarts\tsent\tlost\tper restart\t")
	for _, c := range record.Classes() {
		fmt.Fprintf(w, "%s\t", c)
	}
	fmt.Fprint(w, "refused\tp99 short\tgap\tlongest stop\t\n")
	for _, r := range played {
		if r.Error == "" { // otherwise it is said below why there is no row
			row(w, r)
		}
	}
	_ = w.Flush()
	for _, r := range runs {
		switch {
		case r.Skipped != "":
			fmt.Fprintf(out, "%s: skipped: %s\n", r.Proxy, r.Skipped)
		case r.Error != "":
			fmt.Fprintf(out, "%s: %s\n", r.Proxy, r.Error)
		case !r.Generator.Valid:
			fmt.Fprintf(out, "%s: INVALID: %s\n", r.Proxy, r.Generator.Why)
		}
	}
}

func row(w io.Writer, r Run) {
	n := float64(max(len(r.Restarts), 1))
	fmt.Fprintf(w, "%s %s\t%d\t%d\t%d\t%s\t", r.Proxy, firstWord(r.Version), len(r.Restarts), r.Total.Sent, r.Total.Lost, per(r.Total.Lost, n))
	p99 := ""
	for _, class := range record.Classes() {
		cell := "-"
		for _, c := range r.Classes {
			if c.Class == class.String() {
				cell = per(c.Lost, n)
			}
			if c.Class == record.Short.String() {
				p99 = ms(c.Latency.P99US)
			}
		}
		fmt.Fprintf(w, "%s\t", cell)
	}
	fmt.Fprintf(w, "%s\t%s\t%v\t%.1f s\t\n", per(r.Total.Refused, n), p99, msd(r.Gap.MS), longestStop(r))
}

func firstWord(s string) string {
	f := strings.Fields(s)
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

func per(lost int, restarts float64) string {
	if lost == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f", float64(lost)/restarts)
}

// longestStop is the longest time from when a replica was told to go to when it was gone; of
// upgrades in place, from the command until the old process was gone.
func longestStop(r Run) (longest float64) {
	if r.Plan == plan.Upgrade {
		for _, one := range r.Restarts {
			longest = max(longest, one.Ended.Sub(one.Began).Seconds())
		}
	}
	for _, one := range r.Replicas {
		told := int64(-1)
		for _, p := range one.Phases {
			switch p.Phase {
			case "lame_duck":
				told = p.AtMS
			case "gone":
				if told >= 0 {
					longest = max(longest, float64(p.AtMS-told)/1000)
				}
			}
		}
	}
	return longest
}
