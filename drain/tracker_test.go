package drain_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Every operation in every state: what it answers and where it leads.
func TestEdges(t *testing.T) {
	reach := map[drain.State]func(*drain.Tracker){
		drain.Shut:     func(*drain.Tracker) {},
		drain.Open:     func(tr *drain.Tracker) { tr.Open() },
		drain.Leaving:  func(tr *drain.Tracker) { tr.Open(); tr.BeginLeave(time.Now()) },
		drain.Draining: func(tr *drain.Tracker) { tr.Open(); tr.Track(meta, nil); tr.BeginDrain(time.Now(), time.Time{}) },
		drain.Drained:  func(tr *drain.Tracker) { tr.BeginDrain(time.Now(), time.Time{}) },
	}
	type want struct {
		open    error
		opened  drain.State
		left    drain.State
		drained drain.State
		track   error
	}
	for from, w := range map[drain.State]want{
		drain.Shut:     {nil, drain.Open, drain.Shut, drain.Drained, drain.ErrShut},
		drain.Open:     {nil, drain.Open, drain.Leaving, drain.Drained, nil},
		drain.Leaving:  {nil, drain.Open, drain.Leaving, drain.Drained, nil},
		drain.Draining: {drain.ErrDraining, drain.Draining, drain.Draining, drain.Draining, drain.ErrDraining},
		drain.Drained:  {drain.ErrDraining, drain.Drained, drain.Drained, drain.Drained, drain.ErrDraining},
	} {
		in := func() *drain.Tracker {
			tr := drain.New(drain.Config{})
			reach[from](tr)
			if got := tr.State(); got != from {
				t.Fatalf("reached %v, want %v", got, from)
			}
			return tr
		}
		tr := in()
		if err := tr.Open(); err != w.open || tr.State() != w.opened {
			t.Errorf("%v: Open gives %v and %v, want %v and %v", from, err, tr.State(), w.open, w.opened)
		}
		tr = in()
		if tr.BeginLeave(time.Now()); tr.State() != w.left {
			t.Errorf("%v: Leave leads to %v, want %v", from, tr.State(), w.left)
		}
		tr = in()
		if tr.BeginDrain(time.Now(), time.Time{}); tr.State() != w.drained {
			t.Errorf("%v: BeginDrain leads to %v, want %v", from, tr.State(), w.drained)
		}
		tr = in()
		if _, err := tr.Track(meta, nil); !errors.Is(err, w.track) {
			t.Errorf("%v: Track gives %v, want %v", from, err, w.track)
		}
	}
}

func TestBugsPanic(t *testing.T) {
	tr := opened(t, drain.Config{})
	c := track(t, tr, nil)
	c.Tunnel()
	mustPanic(t, "Active on a tunnel", c.Active)
	mustPanic(t, "Idle on a tunnel", c.Idle)
	c.Done(drain.ClientClosed)
	mustPanic(t, "Done twice", func() { c.Done(drain.ClientClosed) })
	mustPanic(t, "Active after Done", c.Active)
	mustPanic(t, "Idle after Done", c.Idle)
	mustPanic(t, "Tunnel after Done", c.Tunnel)
	mustPanic(t, "a negative timeout", func() { drain.New(drain.Config{Timeout: -1}) })
}

// Invariant 1: Track checks the state and counts under the same lock. Connections come
// in while the drain begins; each is refused, or counted and then waited for. Were the
// two steps apart, a drain would now and then end with a connection in flight.
func TestInvariant1_TrackChecksAndCountsUnderOneLock(t *testing.T) {
	for range 200 {
		tr := opened(t, drain.Config{})
		start := make(chan struct{})
		var wg sync.WaitGroup
		var mu sync.Mutex
		admitted := uint64(0)
		for range 8 {
			wg.Go(func() {
				<-start
				for {
					c, err := tr.Track(meta, nil)
					if err != nil {
						return
					}
					select {
					case <-tr.Drained():
						t.Error("drained with a connection in flight")
					default:
					}
					mu.Lock()
					admitted++
					mu.Unlock()
					c.Done(drain.Completed)
				}
			})
		}
		wg.Go(func() {
			<-start
			tr.BeginDrain(time.Now(), time.Time{})
		})
		close(start)
		wg.Wait()
		<-tr.Drained()
		if s := tr.Stats(); s.Tracked != admitted || s.RefusedDraining != 8 || s.Connections.Total() != 0 {
			t.Fatalf("admitted %d, stats %+v", admitted, s)
		}
	}
}

// Invariant 3: a connection that came in just before the edge finds Draining when it
// looks again, at its next response at the latest.
func TestInvariant3_GoodbyeIsTrueAfterTheEdge(t *testing.T) {
	tr := opened(t, drain.Config{})
	c := track(t, tr, nil)
	c.Active()
	if c.Goodbye() {
		t.Error("told to leave while open")
	}
	tr.BeginDrain(time.Now(), time.Time{})
	if !c.Goodbye() {
		t.Error("not told to leave while draining")
	}
	c.Done(drain.Completed)
}

// Invariant 6: quiescence is a channel, closed by the last Done itself.
func TestInvariant6_QuiescenceIsAChannel(t *testing.T) {
	tr := opened(t, drain.Config{})
	a, b := track(t, tr, nil), track(t, tr, nil)
	state, changed := tr.Watch()
	if state != drain.Open {
		t.Fatalf("state %v", state)
	}
	tr.BeginDrain(time.Now(), time.Time{})
	<-changed
	a.Done(drain.Completed)
	select {
	case <-tr.Drained():
		t.Fatal("drained with one connection left")
	default:
	}
	b.Done(drain.Completed)
	select {
	case <-tr.Drained():
	default:
		t.Fatal("not drained when the last Done returned")
	}
}

// Invariant 7: a tunnel keeps its handle.
func TestInvariant7_TunnelsHoldTheDrain(t *testing.T) {
	tr := opened(t, drain.Config{})
	upgraded, raw := track(t, tr, nil), track(t, tr, nil)
	upgraded.Active()
	upgraded.Tunnel()
	raw.Tunnel()
	tr.BeginDrain(time.Now(), time.Time{})
	if got := tr.Stats().Connections.Tunnel; got != 2 {
		t.Errorf("%d tunnels, want 2", got)
	}
	upgraded.Done(drain.ClientClosed)
	if got := tr.State(); got != drain.Draining {
		t.Errorf("state %v with a tunnel left, want draining", got)
	}
	raw.Done(drain.ClientClosed)
	<-tr.Drained()
	if r := tr.Receipt(); !r.Clean() || r.Exchanges.Draining != 0 || tr.Stats().Exchanges != 1 {
		t.Errorf("receipt %+v, stats %+v", r, tr.Stats())
	}
}

// Under -race: owners, drains, readers and the machine all at once.
func TestManyGoroutines(t *testing.T) {
	tr := opened(t, drain.Config{NoticeAfter: time.Millisecond, Settle: time.Millisecond})
	var wg sync.WaitGroup
	route := "r"
	var admitted sync.WaitGroup
	for range 32 {
		admitted.Add(1)
		wg.Go(func() {
			first := true
			for {
				evicted := make(chan drain.Cause, 2)
				c, err := tr.Track(meta, func(cause drain.Cause) { evicted <- cause })
				if err != nil {
					return
				}
				if first {
					first = false
					admitted.Done()
				}
				for range 50 {
					c.Active()
					c.Describe(&route, nil)
					c.Bytes(1, 1)
					if c.Goodbye() {
						c.Told()
					}
					c.Idle()
				}
				select {
				case <-evicted:
					c.Done(drain.IdleClosed)
				default:
					c.Done(drain.ClientClosed)
				}
			}
		})
	}
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				tr.Snapshot(10)
				tr.Stats()
				tr.Receipt()
			}
		}
	})
	admitted.Wait()
	tr.Leave()
	if err := tr.Open(); err != nil {
		t.Error(err)
	}
	tr.Leave()
	r := tr.Drain(t.Context())
	close(stop)
	wg.Wait()
	if s := tr.Stats(); !r.Clean() || s.Tracked != s.Outcomes.IdleClosed+s.Outcomes.ClientClosed || s.Exchanges != 50*s.Tracked {
		t.Errorf("receipt %v, stats %+v", r, s)
	}
}
