package lab

import (
	"context"
	"testing"
	"time"
)

// TestSuggest finds the smallest times of a service that is known, in few trials.
func TestSuggest(t *testing.T) {
	for _, c := range []struct{ needs, wants, lame, drain time.Duration }{
		{430 * time.Millisecond, 1600 * time.Millisecond, 500 * time.Millisecond, 1750 * time.Millisecond},
		{0, 0, 100 * time.Millisecond, 250 * time.Millisecond},
		{2 * time.Second, 10 * time.Second, 2 * time.Second, 10 * time.Second},
	} {
		s, err := Suggest(t.Context(), Trial{LameDuck: 2 * time.Second, Drain: 10 * time.Second}, func(_ context.Context, lame, drain time.Duration) (Trial, error) {
			r := Trial{LameDuck: lame, Drain: drain}
			if lame < c.needs {
				r.Refused = 5
			}
			if drain < c.wants {
				r.Lost = 3
			}
			return r, nil
		})
		if err != nil || s.LameDuck != c.lame || s.Drain != c.drain || len(s.Trials) > 13 {
			t.Errorf("needs %v and %v: %+v, %v", c.needs, c.wants, s, err)
		}
	}
	_, err := Suggest(t.Context(), Trial{LameDuck: time.Second, Drain: time.Second}, func(context.Context, time.Duration, time.Duration) (Trial, error) { return Trial{Lost: 1}, nil })
	if err == nil {
		t.Error("what is not enough was suggested")
	}
}
