package drain_test

import (
	"math"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// observed is a route on which n exchanges lasted d each, or tunnels.
func observed(class drain.Class, n int, d ...time.Duration) *drain.Terms {
	l := &drain.Lives{}
	for _, d := range d {
		for range n {
			l.Observe(class, d)
		}
	}
	return &drain.Terms{Lives: l}
}

func TestViewShowsWhoHoldsFirst(t *testing.T) {
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	route := "r"
	idle, busy, tunnel := track(t, tr, nil), track(t, tr, nil), track(t, tr, nil)
	idle.Active()
	idle.Idle()
	busy.Active()
	busy.Describe(&route, nil)
	tunnel.Tunnel()
	k.advance(3 * time.Second)
	v := tr.View(2)
	if len(v.Holders) != 2 || v.Holders[0].ID != busy.ID() || v.Holders[1].ID != tunnel.ID() {
		t.Errorf("holders %+v, want the two that a drain waits for", v.Holders)
	}
	if v.Total.Total() != 3 || len(v.Groups) != 3 || !v.Deadline.IsZero() {
		t.Errorf("view %+v", v)
	}
	for _, g := range v.Groups {
		if g.Class == drain.Active && (g.Route != route || g.OldestMS != 3000 || g.Count != 1) {
			t.Errorf("group %+v", g)
		}
	}
	if e := v.Holders[0].Ends; e == nil || e.By != drain.EndUnknown {
		t.Errorf("an end without a drain and without observation: %+v", e)
	}
}

// Each kind of prediction, and on what it rests.
func TestPredictedEnds(t *testing.T) {
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	quick := observed(drain.Active, 100, 4*time.Second, 8*time.Second)
	short := &drain.Terms{Deadline: 2 * time.Second}
	conns := map[string]*drain.Conn{}
	for name, terms := range map[string]*drain.Terms{"idle": nil, "known": quick, "unknown": nil, "short": short, "few": observed(drain.Active, 10, time.Hour)} {
		c := track(t, tr, nil)
		c.Active()
		c.SetTerms(terms)
		if name == "idle" {
			c.Idle()
		}
		conns[name] = c
	}
	k.advance(time.Second)
	tr.BeginDrain(k.now, time.Time{})
	v := tr.View(0)
	ends := map[uint64]drain.End{}
	for _, h := range v.Holders {
		ends[h.ID] = *h.Ends
	}
	cut := (drain.DefaultTimeout - drain.DefaultSettle).Milliseconds()
	for name, want := range map[string]drain.End{
		"idle": {InMS: 7500, By: drain.EndIdle}, "unknown": {InMS: cut, By: drain.EndDeadline},
		"short": {InMS: 2000, By: drain.EndRoute}, "few": {InMS: cut, By: drain.EndDeadline},
	} {
		if got := ends[conns[name].ID()]; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	// Half of those that lasted a second were over within 5 s of their beginning.
	known := ends[conns["known"].ID()]
	if known.By != drain.EndObserved || known.InMS < 2000 || known.InMS > 4100 || known.CutChance == nil || *known.CutChance != 0 {
		t.Errorf("known: %+v", known)
	}
}

func TestForecast(t *testing.T) {
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	// Of 200, 100 last 20 s and 100 a very long time; and tunnels that end within 45 s.
	downloads := observed(drain.Active, 100, 18*time.Second, time.Hour)
	tunnels := observed(drain.Tunnel, 100, 40*time.Second)
	name := "downloads"
	for range 40 {
		c := track(t, tr, nil)
		c.Active()
		c.Describe(&name, nil)
		c.SetTerms(downloads)
	}
	for range 10 {
		c := track(t, tr, nil)
		c.Tunnel()
		c.SetTerms(tunnels)
	}
	for range 3 { // nothing is known of these
		track(t, tr, nil).Active()
	}
	idle := track(t, tr, nil)
	idle.Active()
	idle.Idle()
	k.advance(time.Second)
	f := tr.Forecast([]time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second})
	want := []struct{ expected float64 }{{50}, {20 + 10*14/15.0}, {20}} // a second has gone by; between two bounds ends are even
	for i, h := range f.Budgets {
		if math.Abs(h.Expected-want[i].expected) > 0.1 || h.Unknown != 3 || h.Judged != 50 || h.IdleClosed != 1 {
			t.Errorf("budget %d: %+v, want %v expected", i, h, want[i].expected)
		}
		if h.Low > h.Expected || h.High < h.Expected || h.High > float64(h.Judged) {
			t.Errorf("budget %d: range %v to %v", i, h.Low, h.High)
		}
	}
	if d := f.Budgets[2]; d.High-d.Low < 5 {
		t.Errorf("20 of 50 by chance, and a range of only %v to %v", d.Low, d.High)
	}
	if len(f.Routes) != 2 || f.Routes[0].Route != name || f.Routes[0].Open != 40 || f.Routes[1].Unknown[0] != 3 {
		t.Errorf("routes %+v", f.Routes)
	}
}

// What ends by itself is counted, what is cut is not, and quick ones by sample.
func TestLivesAreCounted(t *testing.T) {
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	terms := &drain.Terms{Lives: &drain.Lives{}}
	run := func(n int, d time.Duration, o drain.Outcome) {
		for range n {
			c := track(t, tr, nil)
			c.Active()
			c.SetTerms(terms)
			k.advance(d)
			if o == drain.IdleClosed {
				c.Idle()
			}
			c.Done(o)
		}
	}
	run(1600, 0, drain.IdleClosed)
	run(100, 20*time.Second, drain.Completed)
	run(500, 25*time.Second, drain.Cut)
	c := track(t, tr, nil)
	c.Active()
	c.SetTerms(terms)
	f := tr.Forecast([]time.Duration{5 * time.Second, 40 * time.Second})
	if got := f.Budgets[0].Expected; math.Abs(got-100.0/1700) > 0.01 {
		t.Errorf("%v are expected to last 5s, want 100 of 1700", got)
	}
	if got := f.Budgets[1].Expected; got != 0 {
		t.Errorf("%v are expected to last 40s: what was cut was counted as an end", got)
	}
}
