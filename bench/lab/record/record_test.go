package record

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestFromWhenItWasDue: what waited in a stall of the generator has waited.
func TestFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(time.Now())
		due := time.Now()
		time.Sleep(700 * time.Millisecond)
		e := r.Begin(Short, "short-1", due)
		time.Sleep(300 * time.Millisecond)
		r.End(e, OK, nil, false)
		s := r.Sum()
		if got := s.Classes[Short].Quantile(100); got < 990*time.Millisecond || got > 1010*time.Millisecond {
			t.Errorf("latency %v, want a second, to two digits", got)
		}
		if s.Lag.Quantile(100) < 690*time.Millisecond || s.Lag.Late(600*time.Millisecond) != 1 || s.Lag.Late(800*time.Millisecond) != 0 {
			t.Errorf("lag %+v", s.Lag)
		}
		if s.Seconds[0][Short].OK != 1 {
			t.Errorf("it belongs to the second in which it was due: %+v", s.Seconds)
		}
	})
}

// TestLongestGap is between two successes of quick classes, wherever failures were.
func TestLongestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(time.Now())
		one := func(c Class, cause Cause) { r.End(r.Begin(c, "x", time.Now()), cause, errors.New("x"), false) }
		for _, step := range []struct {
			after time.Duration
			class Class
			cause Cause
		}{
			{0, Short, OK}, {100 * time.Millisecond, KeepAlive, OK}, {200 * time.Millisecond, Short, Refused},
			{200 * time.Millisecond, Events, OK}, {200 * time.Millisecond, PerRequest, OK}, {50 * time.Millisecond, Short, OK},
		} {
			time.Sleep(step.after)
			one(step.class, step.cause)
		}
		s := r.Sum()
		if s.Gap != 600*time.Millisecond || s.GapFrom.Sub(s.Began) != 100*time.Millisecond {
			t.Errorf("gap %v from %v, want 600ms from 100ms", s.Gap, s.GapFrom.Sub(s.Began))
		}
		all := s.All()
		if all.Sent != 6 || all.OK != 5 || all.Lost() != 0 || all.Refused() != 1 {
			t.Errorf("%d sent, %d ok, %d lost, %d refused", all.Sent, all.OK, all.Lost(), all.Refused())
		}
	})
}

// TestEveryCauseIsCounted by its name, in its second, and kept with what is known of it.
func TestEveryCauseIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(time.Now())
		r.Refine = func(e Exchange, c Cause) (Cause, string) {
			if c == ResetBefore && e.Conn.Local == "nobody" {
				return Refused, "a.1"
			}
			return c, "b.1"
		}
		time.Sleep(2500 * time.Millisecond)
		for c := OK + 1; c < NumCauses; c++ {
			e := r.Begin(Upload, c.String(), time.Now())
			r.Sent(e, Conn{Local: "somebody"})
			r.End(e, c, errors.New("why"), c == ClosedBefore)
		}
		e := r.Begin(Upload, "behind a balancer", time.Now())
		r.Sent(e, Conn{Local: "nobody"})
		r.End(e, ResetBefore, errors.New("reset"), true)
		s := r.Sum()
		total := s.Seconds[2][Upload]
		for c := OK + 1; c < NumCauses; c++ {
			want := 1
			if c == Refused {
				want = 2
			}
			if total.Failed[c] != want {
				t.Errorf("%v: %d, want %d", c, total.Failed[c], want)
			}
		}
		if total.Lost() != int(NumCauses)-3 || total.Refused() != 3 {
			t.Errorf("%d lost, %d refused", total.Lost(), total.Refused())
		}
		last := s.Failures[len(s.Failures)-1]
		if last.Replica != "a.1" || last.Cause != Refused || !last.Safe || last.Err != "reset" {
			t.Errorf("kept: %+v", last)
		}
	})
}

// TestInFlight lists what was sent, and no more.
func TestInFlight(t *testing.T) {
	r := New(time.Now())
	sent, done := r.Begin(Short, "sent", time.Now()), r.Begin(Short, "done", time.Now())
	r.Begin(Short, "dialling", time.Now())
	r.Sent(sent, Conn{Local: "1"})
	r.Sent(done, Conn{Local: "1"})
	r.End(done, OK, nil, false)
	other := r.Begin(Short, "other", time.Now())
	r.Sent(other, Conn{Local: "2"})
	if got := r.InFlight(func(local string) bool { return local == "1" }); len(got) != 1 || got[0] != "sent" {
		t.Errorf("in flight: %q", got)
	}
}
