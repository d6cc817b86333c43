package drain_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// drainAsync starts a drain with a budget and returns where its receipt will arrive.
func drainAsync(ctx context.Context, tr *drain.Tracker, budget time.Duration) <-chan drain.Receipt {
	out := make(chan drain.Receipt, 1)
	ctx, cancel := context.WithTimeout(ctx, budget)
	go func() {
		defer cancel()
		out <- tr.Drain(ctx)
	}()
	synctest.Wait()
	return out
}

func phase(t *testing.T, r drain.Receipt, name string) drain.Phase {
	t.Helper()
	for _, p := range r.Phases {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no phase %q in %+v", name, r.Phases)
	return drain.Phase{}
}

func TestDrainEndsTheInstantTheLastHandleIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		a, b := track(t, tr, nil), track(t, tr, nil)
		a.Active()
		b.Active()
		began := time.Now()
		out := drainAsync(t.Context(), tr, 15*time.Second)

		time.Sleep(time.Second)
		a.Idle()
		a.Done(drain.Completed)
		synctest.Wait()
		if got := tr.State(); got != drain.Draining {
			t.Fatalf("with one left: state %v, want draining", got)
		}
		time.Sleep(time.Second + 7)
		b.Done(drain.Completed)
		r := <-out
		if got, want := time.Since(began), 2*time.Second+7; got != want {
			t.Errorf("drained after %v, want %v", got, want)
		}
		if !r.Clean() || r.Exchanges.Draining != 2 || r.Initial.Active != 2 || r.Outcomes.Completed != 2 {
			t.Errorf("receipt %+v", r)
		}
		if got := phase(t, r, drain.PhaseDrain).EndedBy; got != drain.EndedByLastHandle {
			t.Errorf("ended by %q", got)
		}
	})
}

func TestDrainOfNothingIsImmediate(t *testing.T) {
	for _, open := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tr := drain.New(drain.Config{})
			if open {
				if err := tr.Open(); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			if r := tr.Drain(t.Context()); !r.Clean() || time.Since(began) != 0 {
				t.Errorf("took %v, receipt %v", time.Since(began), r)
			}
		})
	}
}

func TestDeadlineCutsAndNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		var at time.Time
		var c *drain.Conn
		route, user := "db", "u-1"
		c = track(t, tr, func(cause drain.Cause) {
			if cause == drain.CauseFarewell {
				return // it has no way to say goodbye
			}
			if cause != drain.CauseDeadline {
				t.Errorf("cause %v: a tunnel is only evicted at the deadline", cause)
			}
			at = time.Now()
			c.Done(drain.Cut)
		})
		c.Tunnel()
		c.Describe(&route, &user)
		c.Bytes(10, 20)
		began := time.Now()
		r := <-drainAsync(t.Context(), tr, 10*time.Second)

		if got, want := at.Sub(began), 10*time.Second-drain.DefaultSettle; got != want {
			t.Errorf("cut after %v, want %v", got, want)
		}
		if r.Clean() || r.CutTotal != 1 || len(r.Cut) != 1 || r.StuckTotal != 0 {
			t.Fatalf("receipt %+v", r)
		}
		h := r.Cut[0]
		if h.Class != drain.Tunnel || h.Route != route || h.Identity != user || h.BytesIn != 10 ||
			h.BytesOut != 20 || h.Peer != meta.Peer.String() || h.AgeMS != 9750 {
			t.Errorf("named as %+v", h)
		}
		if got := phase(t, r, drain.PhaseDrain).EndedBy; got != drain.EndedByDeadline {
			t.Errorf("drain ended by %q", got)
		}
	})
}

func TestWhatNeverReturnsIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{Settle: 100 * time.Millisecond})
		c := track(t, tr, nil)
		c.Active()
		began := time.Now()
		r := <-drainAsync(t.Context(), tr, 10*time.Second)
		if got, want := time.Since(began), 10*time.Second; got != want {
			t.Errorf("returned after %v, want %v", got, want)
		}
		if r.Clean() || r.StuckTotal != 1 || len(r.Stuck) != 1 || r.Exchanges.Interrupted != 1 {
			t.Fatalf("receipt %+v", r)
		}
		c.Done(drain.Cut) // late, and no longer in the account
		if got := tr.Receipt(); got.CutTotal != 0 || got.Outcomes.Cut != 0 {
			t.Errorf("the receipt changed after it was final: %+v", got)
		}
	})
}

func TestCancelCutsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		var c *drain.Conn
		c = track(t, tr, func(drain.Cause) { c.Done(drain.Cut) })
		c.Active()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		out := drainAsync(ctx, tr, 15*time.Second)
		time.Sleep(time.Second)
		cancel()
		r := <-out
		if got := time.Since(began); got != time.Second {
			t.Errorf("returned after %v, want 1s", got)
		}
		if r.CutTotal != 1 || r.Exchanges.Interrupted != 1 {
			t.Errorf("receipt %+v", r)
		}
		if got := phase(t, r, drain.PhaseDrain).EndedBy; got != drain.EndedByOperator {
			t.Errorf("drain ended by %q", got)
		}
	})
}

func TestDrainWithoutDeadlineTakesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{Timeout: 3 * time.Second})
		c := track(t, tr, nil)
		c.Tunnel()
		began := time.Now()
		tr.Drain(context.Background())
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("returned after %v, want 3s", got)
		}
	})
}

// The idle ones are left alone for the patience, then go by rate, longest idle first,
// all by half of the budget.
func TestIdleCloseByRateAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		tr := opened(t, drain.Config{})
		var order []uint64
		var times []time.Duration
		var began time.Time
		conns := make([]*drain.Conn, n)
		for i := range conns {
			conns[i] = track(t, tr, func(cause drain.Cause) {
				if cause != drain.CauseIdle {
					t.Errorf("cause %v", cause)
				}
				order = append(order, conns[i].ID())
				times = append(times, time.Since(began))
				conns[i].Done(drain.IdleClosed)
			})
			conns[i].Active()
		}
		for i := n - 1; i >= 0; i-- { // the last tracked idles longest
			conns[i].Idle()
			time.Sleep(10 * time.Millisecond)
		}
		began = time.Now()
		r := <-drainAsync(t.Context(), tr, 15*time.Second)

		if len(order) != n {
			t.Fatalf("%d evicted, want %d", len(order), n)
		}
		for i := range order {
			if want := uint64(n - i); order[i] != want {
				t.Fatalf("eviction %d is of connection %d, want %d", i, order[i], want)
			}
		}
		if first, last := times[0], times[n-1]; first != 5*time.Second || last > 7500*time.Millisecond || last < 7*time.Second {
			t.Errorf("evicted from %v to %v, want from 5s to just before 7.5s", first, last)
		}
		for i := 10; i < n; i++ {
			if times[i]-times[i-10] == 0 {
				t.Fatalf("more than 10 of %d evicted at once, at %v", n, times[i])
			}
		}
		if !r.Clean() || r.Outcomes.IdleClosed != n {
			t.Errorf("receipt %v", r)
		}
		if r.LossBound <= 0 || r.LossBound > 2*n*0.05 {
			t.Errorf("expected loss %v", r.LossBound)
		}
	})
}

// An idle connection that wakes is served, not closed, and one that goes idle later
// has the whole patience before it.
func TestIdleThatWakesIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		var at time.Duration
		began := time.Now()
		var c *drain.Conn
		c = track(t, tr, func(drain.Cause) {
			at = time.Since(began)
			c.Done(drain.IdleClosed)
		})
		c.Active()
		c.Idle()
		out := drainAsync(t.Context(), tr, 15*time.Second)
		time.Sleep(4 * time.Second)
		c.Active()
		time.Sleep(2 * time.Second)
		c.Idle()
		<-out
		if want := 11 * time.Second; at != want {
			t.Errorf("evicted after %v, want %v", at, want)
		}
	})
}

func TestIdleCloseOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{IdleClose: -1})
		var cause drain.Cause
		var c *drain.Conn
		c = track(t, tr, func(got drain.Cause) { cause = got; c.Done(drain.IdleClosed) })
		r := <-drainAsync(t.Context(), tr, 10*time.Second)
		if cause != drain.CauseDeadline || !r.Clean() {
			t.Errorf("cause %v, receipt %v", cause, r)
		}
	})
}

func TestGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		before := track(t, tr, nil)
		tr.Leave()
		during := track(t, tr, nil)
		check := func(when string, old, new bool) {
			t.Helper()
			synctest.Wait()
			if before.Goodbye() != old || during.Goodbye() != new {
				t.Errorf("%s: goodbye %v and %v, want %v and %v", when, before.Goodbye(), during.Goodbye(), old, new)
			}
		}
		check("at leave", false, false)
		time.Sleep(drain.DefaultNoticeAfter - 1)
		check("before notice", false, false)
		time.Sleep(time.Nanosecond)
		check("after notice", true, false)
		time.Sleep(drain.DefaultNoticeAfter)
		check("when all were told", true, false)
		if err := tr.Open(); err != nil {
			t.Fatal(err)
		}
		check("after undrain", false, false)
		tr.Leave()
		tr.Notice()
		check("told at once in a second lame duck, where both are old", true, true)
		before.Told()
		before.Told()
		tr.BeginDrain(time.Now(), time.Time{})
		check("draining", true, true)
		before.Done(drain.ClientClosed)
		during.Done(drain.ClientClosed)
		if got := tr.Receipt().Told; got != 1 {
			t.Errorf("told %d, want 1", got)
		}
	})
}

// A stale timer of a lame duck that was undone must not begin the goodbyes of the next.
func TestUndrainForgetsTheNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		c := track(t, tr, nil)
		tr.Leave()
		time.Sleep(2 * time.Second)
		if err := tr.Open(); err != nil {
			t.Fatal(err)
		}
		tr.Leave()
		time.Sleep(2 * time.Second) // 4s after the first Leave
		synctest.Wait()
		if c.Goodbye() {
			t.Error("the first timer began the goodbyes of the second lame duck")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !c.Goodbye() {
			t.Error("the second timer did not fire")
		}
		c.Done(drain.ClientClosed)
	})
}

// Each timer that Leave arms is stopped when its lame duck ends, in whatever way.
func TestNoticeTimerIsStopped(t *testing.T) {
	for name, end := range map[string]func(*drain.Tracker){
		"undrain": func(tr *drain.Tracker) { _ = tr.Open() },
		"drain":   func(tr *drain.Tracker) { tr.BeginDrain(time.Now(), time.Time{}) },
		"notice":  func(tr *drain.Tracker) { tr.Notice() },
	} {
		var armed, stopped int
		tr := opened(t, drain.Config{AfterFunc: func(d time.Duration, f func()) func() bool {
			if d != drain.DefaultNoticeAfter {
				t.Errorf("armed for %v", d)
			}
			armed++
			return func() bool { stopped++; return true }
		}})
		tr.Leave()
		tr.Leave() // again does nothing
		end(tr)
		if armed != 1 || stopped != 1 {
			t.Errorf("%s: armed %d, stopped %d", name, armed, stopped)
		}
	}
}

// A timer that fires within AfterFunc, before Leave has got to know how to stop it.
func TestNoticeAtOnce(t *testing.T) {
	stopped := false
	tr := opened(t, drain.Config{NoticeAfter: -1, NoticeSpread: -1, AfterFunc: func(_ time.Duration, f func()) func() bool {
		f()
		return func() bool { stopped = true; return false }
	}})
	c := track(t, tr, nil)
	tr.Leave()
	if !c.Goodbye() || !stopped {
		t.Errorf("goodbye %v, stopped %v", c.Goodbye(), stopped)
	}
}

func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		time.Sleep(time.Minute)
		preconnected := track(t, tr, nil)
		for range 20 {
			c := track(t, tr, nil)
			c.Active()
			c.Done(drain.Completed)
			time.Sleep(100 * time.Millisecond)
		}
		if _, judged := tr.Quiet(time.Now()); judged {
			t.Error("judged before Leave")
		}
		tr.Leave()
		time.Sleep(time.Second)
		if quiet, judged := tr.Quiet(time.Now()); quiet != time.Second || !judged {
			t.Errorf("quiet %v %v, want 1s true", quiet, judged)
		}
		preconnected.Active()      // was here before
		knock := track(t, tr, nil) // a port check never speaks
		if quiet, _ := tr.Quiet(time.Now()); quiet != time.Second {
			t.Errorf("quiet %v after arrivals that do not count, want 1s", quiet)
		}
		knock.Active()
		time.Sleep(300 * time.Millisecond)
		if quiet, _ := tr.Quiet(time.Now()); quiet != 300*time.Millisecond {
			t.Errorf("quiet %v after a real arrival, want 300ms", quiet)
		}
		if total, _ := tr.Arrivals(); total != 22 {
			t.Errorf("%d arrivals, want 22", total)
		}
	})
}

func TestQuietNeedsArrivalsToJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		for range 100 { // plenty, but too long ago
			track(t, tr, nil).Active()
		}
		time.Sleep(12 * time.Second)
		for range drain.DefaultQuietArrivals - 1 {
			track(t, tr, nil).Active()
		}
		tr.Leave()
		if _, judged := tr.Quiet(time.Now()); judged {
			t.Error("judged with too few arrivals")
		}
		if err := tr.Open(); err != nil {
			t.Fatal(err)
		}
	})
}
