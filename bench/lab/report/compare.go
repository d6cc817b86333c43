package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/sluiceproxy/sluice/bench/lab/plan"
)

// Compare writes two files side by side, proxy by proxy and plan by plan, and says whether b
// lost or refused more than a anywhere.
func Compare(out io.Writer, a, b File) (worse bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "proxy\tplan\tlost\trefused\tper restart\tp99 short\tgap\tlongest stop\t")
	var notes []string
	for _, key := range keys(a, b) {
		old, inA := pick(a, key)
		now, inB := pick(b, key)
		if !inA || !inB {
			notes = append(notes, fmt.Sprintf("%s, plan %s: only in one of them", key.proxy, key.plan))
			continue
		}
		if old.Settings != now.Settings {
			notes = append(notes, fmt.Sprintf("%s, plan %s: settings differ: %+v, %+v", key.proxy, key.plan, old.Settings, now.Settings))
		}
		for _, r := range []Run{old, now} {
			if !r.Generator.Valid {
				notes = append(notes, fmt.Sprintf("%s, plan %s: INVALID: %s", key.proxy, key.plan, r.Generator.Why))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d -> %d\t%d -> %d\t%s -> %s\t%s -> %s\t%v -> %v\t%.1f s -> %.1f s\t\n", key.proxy, key.plan,
			old.Total.Lost, now.Total.Lost, old.Total.Refused, now.Total.Refused, perRestart(old), perRestart(now),
			ms(shortP99(old)), ms(shortP99(now)), msd(old.Gap.MS), msd(now.Gap.MS), longestStop(old), longestStop(now))
		worse = worse || perRestartOf(now) > perRestartOf(old)
	}
	_ = w.Flush()
	for _, n := range notes {
		fmt.Fprintln(out, n)
	}
	return worse
}

// key is what runs are matched by.
type key struct {
	proxy string
	plan  plan.Kind
}

// keys are all of both files, in their order.
func keys(files ...File) (all []key) {
	seen := map[key]bool{}
	for _, f := range files {
		for _, r := range f.Runs {
			if k := (key{r.Proxy, r.Plan}); r.Skipped == "" && !seen[k] {
				seen[k] = true
				all = append(all, k)
			}
		}
	}
	return all
}

func pick(f File, k key) (Run, bool) {
	var runs []Run
	for _, r := range f.Runs {
		if r.Proxy == k.proxy && r.Plan == k.plan && r.Skipped == "" {
			runs = append(runs, r)
		}
	}
	return Merge(runs), len(runs) > 0
}

// perRestartOf is what failed, for each restart; what a kill excuses does not count.
func perRestartOf(r Run) float64 {
	return float64(r.Total.Lost-r.Excused+r.Total.Refused) / float64(max(len(r.Restarts), 1))
}

func perRestart(r Run) string { return fmt.Sprintf("%.1f", perRestartOf(r)) }

func shortP99(r Run) int64 {
	for _, c := range r.Classes {
		if c.Class == "short" {
			return c.Latency.P99US
		}
	}
	return 0
}
