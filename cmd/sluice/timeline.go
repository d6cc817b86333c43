package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// timelineWidth is the length of the whole budget, in characters.
const timelineWidth = 40

// timelineReport is what `sluice config show --timeline --json` prints. Durations are in nanoseconds.
type timelineReport struct {
	StopTimeout time.Duration `json:"stop_timeout"`
	Spans       []config.Span `json:"spans"`
}

// printTimeline is `sluice config show --timeline`.
func printTimeline(out io.Writer, cfg *config.Config, asJSON bool) error {
	spans, total := cfg.Timeline(), cfg.Platform.StopTimeout
	if asJSON {
		return printJSON(out, timelineReport{total, spans})
	}
	fmt.Fprintf(out, "platform.stop_timeout %s; the longest stop takes %s of it\n\n", total, cfg.StopBudget())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTO\t\tPHASE\tSETTING")
	for _, s := range spans {
		name, mark := s.Name, '='
		if s.Within {
			name, mark = "  "+name, '.'
		}
		fmt.Fprintf(w, "%s\t%s\t|%s|\t%s\t%s\n", s.From, s.To, bar(s, total, mark), name, dash(s.Setting))
	}
	return w.Flush()
}

// bar draws a span to scale; a moment is one mark.
func bar(s config.Span, total time.Duration, mark rune) string {
	at := func(d time.Duration) int { return int(int64(timelineWidth) * int64(d) / int64(max(total, 1))) }
	from := min(at(s.From), timelineWidth-1)
	n := max(1, min(at(s.To), timelineWidth)-from)
	if s.From == s.To {
		mark = '^'
	}
	return strings.Repeat(" ", from) + strings.Repeat(string(mark), n) + strings.Repeat(" ", timelineWidth-from-n)
}
