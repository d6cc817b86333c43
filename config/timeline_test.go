package config

import (
	"testing"
	"time"
)

// The spans of a stop follow each other without a gap, fill the budget, and what is within one
// is within it.
func TestTimeline(t *testing.T) {
	source := func(more string) Source { return Source{Name: "sluice.yaml", Text: []byte(minimal + more)} }
	for name, src := range map[string]Source{
		"defaults":         source(""),
		"a hook before it": source("platform: {stop_timeout: 60s, pre_stop: 7s}"),
		"no lame duck":     source("lame_duck: {min: 0s, max: 0s, notice_after: 0s}"),
		"nobody idles":     source("drain: {idle_close: 0s}"),
		"full":             read(t, "full.yaml"),
	} {
		c := mustLoad(t, src)
		end, from, to := time.Duration(0), time.Duration(0), time.Duration(0)
		for _, s := range c.Timeline() {
			switch {
			case s.To < s.From:
				t.Errorf("%s: %+v ends before it begins", name, s)
			case s.Within && (s.From < from || s.To > to):
				t.Errorf("%s: %+v is not within %v to %v", name, s, from, to)
			case !s.Within && s.From != end:
				t.Errorf("%s: %+v begins %v after the one before it ended", name, s, s.From-end)
			}
			if !s.Within {
				from, to, end = s.From, s.To, s.To
			}
		}
		if end != c.Platform.StopTimeout {
			t.Errorf("%s: the spans end at %v, the budget at %v", name, end, c.Platform.StopTimeout)
		}
	}
}
