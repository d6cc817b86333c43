package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
)

// barWidth is the length of the progress bar, in characters.
const barWidth = 30

// render writes one look: how the drain goes, kinds, and who holds it. With bar, it begins
// with a progress bar.
func render(out io.Writer, v admin.Watch, bar bool) {
	if p := v.Drain; bar && p.Initial.Total() > 0 && p.State == health.ProcessDraining {
		fmt.Fprintf(out, "%s %d of %d are gone\n", progressBar(p), p.Initial.Total()-min(p.Initial.Total(), p.Remaining.Total()), p.Initial.Total())
	}
	fmt.Fprintln(out, summary(v))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(v.Connections.Groups) > 0 {
		fmt.Fprintln(w, "COUNT\tLISTENER\tPROTOCOL\tROUTE\tDOING\tLONGEST")
		for i, g := range v.Connections.Groups {
			if i == maxGroupLines {
				fmt.Fprintf(w, "...\t%d more kinds\t\t\t\t\n", len(v.Connections.Groups)-i)
				break
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", g.Count, g.Listener, g.Protocol, dash(g.Route), g.Class, short(g.OldestMS))
		}
		_ = w.Flush() // into memory
	}
	if len(v.Connections.Holders) == 0 {
		return
	}
	fmt.Fprintln(w, "ID\tPROTOCOL\tROUTE\tIDENTITY\tPEER\tAGE\tIN\tOUT\tWHY\tEXPECTED END")
	for _, h := range v.Connections.Holders {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, h.Protocol, dash(h.Route), dash(h.Identity), h.Peer,
			short(h.AgeMS), bytesText(h.BytesIn), bytesText(h.BytesOut), whyNow(h), endText(h.Ends))
	}
	if rest := v.Connections.Total.Total() - len(v.Connections.Holders); rest > 0 {
		fmt.Fprintf(w, "...\t%d more\t\t\t\t\t\t\t\t\n", rest)
	}
	_ = w.Flush()
}

// maxGroupLines bounds the kinds that are shown to a person.
const maxGroupLines = 8

func progressBar(p admin.Progress) string {
	gone := barWidth * (p.Initial.Total() - min(p.Initial.Total(), p.Remaining.Total())) / p.Initial.Total()
	return "[" + strings.Repeat("#", gone) + strings.Repeat("-", barWidth-gone) + "]"
}

// summary is a look in one line.
func summary(v admin.Watch) string {
	p := v.Drain
	switch p.State {
	case health.ProcessLameDuck:
		return fmt.Sprintf("lame duck: not ready, still accepting, at most %.1f s more; %s", p.SecondsLeft, v.Connections.Total)
	case health.ProcessDraining:
		line := fmt.Sprintf("draining: %s left", v.Connections.Total)
		if n := p.Initial.Total(); n > 0 { // 0: the listeners are still closing
			line += fmt.Sprintf(" of %d", n)
		}
		line += fmt.Sprintf(", %.1f s until the rest is cut", p.SecondsLeft)
		if hs := v.Connections.Holders; len(hs) > 0 {
			line += fmt.Sprintf("; #%d holds it: %s %s, %s", hs[0].ID, hs[0].Protocol, dash(hs[0].Route), whyNow(hs[0]))
		}
		return line
	case health.ProcessDrained:
		return "drained: nothing is left; parked until a signal"
	case health.ProcessServing:
		return fmt.Sprintf("serving: no drain runs; one would wait for %s", v.Connections.Total)
	case health.ProcessStarting, health.ProcessStopped, health.ProcessFailed:
	}
	return fmt.Sprintf("%s: %s", p.State.Label(), v.Connections.Total)
}

func whyNow(h drain.Holder) string { return fmt.Sprintf("%s for %s", h.Why, short(h.ClassMS)) }

// endText says when, and on what that rests.
func endText(e *drain.End) string {
	if e == nil {
		return "-"
	}
	var text string
	switch e.By {
	case drain.EndObserved:
		text = "in about " + short(e.InMS)
	case drain.EndIdle:
		text = "closed as idle within " + short(e.InMS)
	case drain.EndDeadline:
		text = "cut in " + short(e.InMS)
	case drain.EndRoute:
		text = "cut in " + short(e.InMS) + " (its route)"
	case drain.EndUnknown:
		return "unknown"
	}
	if e.CutChance != nil {
		text += fmt.Sprintf(", %.0f%% to be cut", 100**e.CutChance)
	}
	return text
}

// bytesText writes a number of bytes in three digits.
func bytesText(n int64) string {
	x, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; x >= 1000 && i < len(units)-1; i++ {
		x /= 1024
	}
	if i == 0 || x >= 100 {
		return fmt.Sprintf("%.0f%s", x, units[i])
	}
	return fmt.Sprintf("%.1f%s", x, units[i])
}

// short writes milliseconds as a person would.
func short(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
