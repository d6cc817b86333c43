package drain_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// farewells tracks n connections that note when they hear a farewell, counted from now.
func farewells(t *testing.T, tr *drain.Tracker, n int, terms *drain.Terms, begin func(*drain.Conn)) (at []time.Duration) {
	t.Helper()
	began := time.Now()
	at = make([]time.Duration, n)
	for i := range n {
		var c *drain.Conn
		c = track(t, tr, func(cause drain.Cause) {
			if cause == drain.CauseFarewell {
				if at[i] != 0 {
					t.Errorf("connection %d hears it twice", c.ID())
				}
				at[i] = max(time.Since(began), 1)
				return
			}
			c.Done(drain.Cut)
		})
		c.SetTerms(terms)
		begin(c)
	}
	return at
}

func tunnels(c *drain.Conn) { c.Tunnel() }
func streams(c *drain.Conn) { c.Active() }

// TestFarewellComesBeforeTheDeadline to tunnels, spread over half of the time that there is for
// it, and to nobody else.
func TestFarewellComesBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		at := farewells(t, tr, 100, nil, tunnels)
		busy := farewells(t, tr, 1, nil, streams)
		own := farewells(t, tr, 1, &drain.Terms{Deadline: 3 * time.Second}, tunnels)
		<-drainAsync(t.Context(), tr, 15*time.Second)

		cut := 15*time.Second - drain.DefaultSettle
		first, last := slices.Min(at), slices.Max(at)
		if first < cut-2*time.Second || first > cut-1900*time.Millisecond || last < cut-1100*time.Millisecond || last > cut-900*time.Millisecond {
			t.Errorf("from %v to %v, want from 2s to 1s before %v", first, last, cut)
		}
		slices.Sort(at)
		for i := range len(at) - 10 {
			if d := at[i+10] - at[i]; d < 40*time.Millisecond {
				t.Errorf("ten hear it within %v", d)
			}
		}
		if busy[0] != 0 {
			t.Errorf("an exchange hears it after %v", busy[0])
		}
		if own[0] < 2*time.Second || own[0] > 2800*time.Millisecond {
			t.Errorf("a tunnel with three seconds of its own hears it after %v", own[0])
		}
	})
}

// TestFarewellToTunnelsWithin: an active connection with tunnels hears it as they would, and one whose tunnels are over does not.
func TestFarewellToTunnelsWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		within := farewells(t, tr, 1, nil, func(c *drain.Conn) { c.Active(); c.Tunnels(2); c.Tunnels(1) })
		early := farewells(t, tr, 1, &drain.Terms{EarlyTunnels: true}, func(c *drain.Conn) { c.Active(); c.Tunnels(1) })
		over := farewells(t, tr, 1, nil, func(c *drain.Conn) { c.Active(); c.Tunnels(1); c.Tunnels(0) })
		if h := tr.Snapshot(1)[0]; h.Class != drain.Active || h.Why != "tunnels are open within it" {
			t.Errorf("it is held as %v, because %s", h.Class, h.Why)
		}
		<-drainAsync(t.Context(), tr, 15*time.Second)
		cut := 15*time.Second - drain.DefaultSettle
		if within[0] < cut-2*time.Second || within[0] > cut-time.Second || early[0] == 0 || early[0] > 2*time.Second || over[0] != 0 {
			t.Errorf("told after %v, at once after %v, without tunnels after %v", within[0], early[0], over[0])
		}
	})
}

// TestFarewellWhenDrainingBegins: where the terms of a route say so, of each kind alone, and for
// who comes to be one while draining.
func TestFarewellWhenDrainingBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		both := &drain.Terms{EarlyTunnels: true, EarlyStreams: true}
		a, b := farewells(t, tr, 20, both, tunnels), farewells(t, tr, 20, both, streams)
		not := farewells(t, tr, 1, &drain.Terms{EarlyTunnels: true}, streams)
		late := farewells(t, tr, 1, nil, func(c *drain.Conn) {
			time.AfterFunc(3*time.Second, func() { c.SetTerms(&drain.Terms{EarlyStreams: true}); c.Active() })
		})
		<-drainAsync(t.Context(), tr, 15*time.Second)
		at := slices.Concat(a, b)
		if first, last := slices.Min(at), slices.Max(at); first == 0 || last > 2100*time.Millisecond || last < time.Second {
			t.Errorf("from %v to %v, want all within the lead", first, last)
		}
		if not[0] != 0 {
			t.Errorf("an exchange whose route did not ask for it hears it after %v", not[0])
		}
		if late[0] < 3*time.Second || late[0] > 5*time.Second {
			t.Errorf("who began after 3s hears it after %v", late[0])
		}
	})
}

// TestFarewellFollowsTheDeadline: it comes before the one that holds, and not at all to who is
// cut at once.
func TestFarewellFollowsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{})
		at := farewells(t, tr, 1, nil, tunnels)
		out := drainAsync(t.Context(), tr, 30*time.Second)
		time.Sleep(time.Second)
		tr.MoveDeadline(time.Now(), time.Now().Add(9*time.Second))
		<-out
		if at[0] < 7*time.Second || at[0] > 9*time.Second {
			t.Errorf("heard after %v, and the deadline was moved to 10s", at[0])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		tr := opened(t, drain.Config{FarewellLead: -1})
		at := farewells(t, tr, 1, nil, tunnels)
		<-drainAsync(t.Context(), tr, 15*time.Second)
		if at[0] != 0 {
			t.Errorf("heard after %v, and there was to be none", at[0])
		}
	})
}
