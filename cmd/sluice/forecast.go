package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// printForecast is `sluice drain --dry-run` for people.
func printForecast(out io.Writer, f drain.Forecast) error {
	fmt.Fprintf(out, "now: %s (the drain is configured to wait %s)\n\n", f.Total, time.Duration(f.TimeoutMS)*time.Millisecond)
	if f.Before != "" {
		fmt.Fprintf(out, "%s\n\n", f.Before)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "after\twould be cut\tlikely\tunknown\tidle, closed by rule\texpected loss of that")
	for _, h := range f.Budgets {
		fmt.Fprintf(w, "%s\t%s of %d\t%s to %s\t%d\t%d\t%s\n", time.Duration(h.BudgetMS)*time.Millisecond,
			number(h.Expected), h.Judged, number(h.Low), number(h.High), h.Unknown, h.IdleClosed, number(h.ExpectedLoss))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(f.Routes) > 0 {
		fmt.Fprintln(out)
		fmt.Fprintln(w, "listener\troute\topen\twould be cut, by budget\tunknown, by budget")
		for _, r := range f.Routes {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", r.Listener, dash(r.Route), r.Open, joined(r.Expected, number), joined(r.Unknown, func(n int) string { return fmt.Sprint(n) }))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(out, `
would be cut: expected number of exchanges and tunnels still open, from how long those of the
same route lasted; likely: two standard deviations; unknown: too few (under 20) have lasted as
long, so any number of these may be cut. Requests that come meanwhile are not in it.
`)
	return err
}

// number writes a count that is an expectation: whole where it is whole.
func number(x float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") }

func joined[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = text(x)
	}
	return strings.Join(words, " / ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
