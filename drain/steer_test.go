package drain_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// held is a connection that a test holds: what it was asked, and when.
type held struct {
	*drain.Conn
	began  time.Time
	mu     sync.Mutex
	causes []drain.Cause
	at     time.Duration
}

// hold tracks a connection with terms that ends as soon as it is asked to go.
func hold(t *testing.T, tr *drain.Tracker, terms *drain.Terms) *held {
	t.Helper()
	h := &held{began: time.Now()}
	h.Conn = track(t, tr, func(cause drain.Cause) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if cause == drain.CauseFarewell {
			return
		}
		h.causes = append(h.causes, cause)
		h.at = time.Since(h.began)
		if cause.Cuts() {
			h.Done(drain.Cut)
		} else {
			h.Done(drain.IdleClosed)
		}
	})
	h.SetTerms(terms)
	return h
}

// A drain is given more time, and later less: it ends when the last word says.
func TestTheDeadlineMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		h := hold(t, tr, nil)
		h.Tunnel()
		out := drainAsync(context.Background(), tr, time.Hour)
		began := time.Now()
		if !tr.MoveDeadline(time.Now(), began.Add(20*time.Second)) {
			t.Fatal("the deadline did not move")
		}
		time.Sleep(5 * time.Second)
		if !tr.MoveDeadline(time.Now(), began.Add(8*time.Second)) {
			t.Fatal("the deadline did not move a second time")
		}
		r := <-out
		if want := 8*time.Second - drain.DefaultSettle; h.at != want || r.CutTotal != 1 {
			t.Errorf("cut after %v, want %v; receipt %v", h.at, want, r)
		}
		if len(r.Moves) != 2 || !r.Moves[1].Deadline.Equal(began.Add(8*time.Second)) || r.Moves[1].At.Sub(began) != 5*time.Second {
			t.Errorf("moves %+v", r.Moves)
		}
		if got := r.Cut[0].Cause; got != "deadline" {
			t.Errorf("cut for %q, want deadline", got)
		}
		if tr.MoveDeadline(time.Now(), time.Now().Add(time.Hour)) {
			t.Error("the deadline of a drain that is over moved")
		}
	})
}

// moving is a context whose deadline moves.
type moving struct {
	context.Context
	mu sync.Mutex
	at []time.Time // what Deadline answers, one after the other; the last one stays
}

func (m *moving) Deadline() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.at[0]
	if len(m.at) > 1 {
		m.at = m.at[1:]
	}
	return at, true
}

// The race of a deadline that moves while the listeners close: after the shell looked at
// its context, and before there was a drain whose deadline could be moved.
func TestTheDeadlineMovesBeforeThereIsADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		h := hold(t, tr, nil)
		h.Tunnel()
		ctx := &moving{Context: context.Background(), at: []time.Time{time.Now().Add(5 * time.Second), time.Now().Add(9 * time.Second)}}
		tr.Drain(ctx)
		if want := 9*time.Second - drain.DefaultSettle; h.at != want {
			t.Errorf("cut after %v, want %v", h.at, want)
		}
	})
}

func TestADeadlineThatHasPassedCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		h := hold(t, tr, nil)
		h.Active()
		out := drainAsync(context.Background(), tr, time.Hour)
		time.Sleep(time.Second)
		tr.MoveDeadline(time.Now(), time.Now().Add(-time.Second))
		tr.Step(time.Now())
		r := <-out
		if got := phase(t, r, drain.PhaseDrain).EndedBy; got != drain.EndedByOperator || h.at != time.Second {
			t.Errorf("ended by %q after %v", got, h.at)
		}
	})
}

func TestEvict(t *testing.T) {
	tr := opened(t, drain.Config{})
	a, b := hold(t, tr, nil), hold(t, tr, nil)
	a.Active()
	b.Tunnel()
	if tr.Evict(99) {
		t.Error("found a connection that there is not")
	}
	if !tr.Evict(b.ID()) || tr.Evict(b.ID()) {
		t.Error("one is evicted once")
	}
	if !slices.Equal(b.causes, []drain.Cause{drain.CauseOperator}) || a.causes != nil {
		t.Errorf("causes %v and %v", a.causes, b.causes)
	}
	tr.BeginDrain(time.Now(), time.Time{})
	if !tr.Evict(a.ID()) {
		t.Error("not found while draining")
	}
	r := tr.Receipt()
	if r.CutTotal != 1 || r.Cut[0].ID != a.ID() || r.Cut[0].Cause != "operator" || tr.State() != drain.Drained {
		t.Errorf("receipt %+v", r)
	}
}

// Routes may have less time than the drain; what begins later on one has as much.
func TestTermsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		short := &drain.Terms{Deadline: 3 * time.Second}
		tunnel, late, other := hold(t, tr, short), hold(t, tr, nil), hold(t, tr, nil)
		tunnel.Tunnel()
		late.Active()
		late.Idle()
		other.Active()
		out := drainAsync(context.Background(), tr, 15*time.Second)
		time.Sleep(2500 * time.Millisecond)
		late.Active()
		late.SetTerms(short)
		r := <-out
		for _, c := range []struct {
			h    *held
			want time.Duration
			name string
		}{
			{tunnel, 3 * time.Second, "route_deadline"}, {late, 5500 * time.Millisecond, "route_deadline"},
			{other, 15*time.Second - drain.DefaultSettle, "deadline"},
		} {
			if c.h.at != c.want {
				t.Errorf("connection %d cut after %v, want %v", c.h.ID(), c.h.at, c.want)
			}
			i := slices.IndexFunc(r.Cut, func(h drain.Holder) bool { return h.ID == c.h.ID() })
			if i < 0 || r.Cut[i].Cause != c.name {
				t.Errorf("connection %d in %+v, want %s", c.h.ID(), r.Cut, c.name)
			}
		}
	})
}

// First and last: told, closed as idle, and cut in that order.
func TestTermsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		var all []*held
		for i := range 90 {
			var terms *drain.Terms
			switch i % 3 {
			case 1:
				terms = &drain.Terms{Order: drain.First}
			case 2:
				terms = &drain.Terms{Order: drain.Last}
			}
			all = append(all, hold(t, tr, terms))
			all[i].Active()
			all[i].Idle()
		}
		told := func(from int) (n int) {
			for i := from; i < len(all); i += 3 {
				if all[i].Goodbye() {
					n++
				}
			}
			return n
		}
		tr.Leave()
		time.Sleep(drain.DefaultNoticeAfter + drain.DefaultNoticeAfter/2)
		synctest.Wait()
		if first, between, last := told(1), told(0), told(2); first != 30 || between < 12 || between > 18 || last != 0 {
			t.Errorf("half-way through the notice %d first, %d between and %d last are told", first, between, last)
		}
		time.Sleep(drain.DefaultNoticeAfter / 2)
		synctest.Wait()
		if first, between, last := told(1), told(0), told(2); first+between+last != 90 {
			t.Errorf("after the notice %d first, %d between and %d last are told", first, between, last)
		}
		<-drainAsync(context.Background(), tr, 15*time.Second)
		latest := func(from int) (at time.Duration) {
			for i := from; i < len(all); i += 3 {
				at = max(at, all[i].at)
			}
			return at
		}
		if first, between, last := latest(1), latest(0), latest(2); first >= between || between >= last {
			t.Errorf("closed as idle up to %v first, %v between, %v last", first, between, last)
		}
	})
}

// Goodbyes are spread: no turn tells more than its share.
func TestNoticeIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		tr := opened(t, drain.Config{})
		conns := make([]*drain.Conn, n)
		for i := range conns {
			conns[i] = track(t, tr, nil)
		}
		tr.Leave()
		time.Sleep(drain.DefaultNoticeAfter)
		before := 0
		for range 49 {
			synctest.Wait()
			told := 0
			for _, c := range conns {
				if c.Goodbye() {
					told++
				}
			}
			if told-before < 1 || told-before > n/50+1 {
				t.Fatalf("%d told at once, after %d", told-before, before)
			}
			before = told
			time.Sleep(drain.DefaultNoticeAfter / 50)
		}
		if err := tr.Open(); err != nil {
			t.Fatal(err)
		}
		if conns[0].Goodbye() {
			t.Error("still told after the undo")
		}
	})
}

// A look never holds the lock for longer than a piece: Track and Done get in between.
func TestLookingLeavesTheLockFree(t *testing.T) {
	tr := opened(t, drain.Config{})
	for range 5000 {
		track(t, tr, nil)
	}
	in := 0
	tr.EachForTest(func(*drain.Conn) {
		track(t, tr, nil).Done(drain.ClientClosed) // would wait for ever
		in++
	})
	if in != 5000 {
		t.Errorf("saw %d of 5000", in)
	}
}
