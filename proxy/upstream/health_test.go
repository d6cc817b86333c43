package upstream_test

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/upstream"
)

func cluster(cfg upstream.Config) *upstream.Cluster {
	var set upstream.Set
	cfg.Name = "app"
	clusters, retire := set.Update([]upstream.Config{cfg})
	retire()
	return clusters["app"]
}

func after(d time.Duration) time.Time { return start.Add(d) }

func fail(e *upstream.Endpoint, n int, now time.Time) {
	for range n {
		e.Failed(now)
	}
}

func picks(c *upstream.Cluster, now time.Time, n int) map[string]int {
	got := map[string]int{}
	for range n {
		if e := c.Pick(now, nil); e != nil {
			got[e.Addr]++
		}
	}
	return got
}

func TestFailuresInARowEject(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1", "c:1"}})
	a := c.Endpoints()[0]
	fail(a, 4, start)
	a.Answered(start) // the row is broken
	fail(a, 4, start)
	if a.State() != upstream.Healthy {
		t.Fatal("ejected without five failures in a row")
	}
	fail(a, 1, start)
	if a.State() != upstream.Ejected || a.Ejections.Load() != 1 {
		t.Fatalf("state %v after five failures in a row", a.State())
	}
	if got := picks(c, after(9*time.Second), 100); got["a:1"] != 0 || got["b:1"] != 50 || got["c:1"] != 50 {
		t.Errorf("picked %v: the others are to share evenly", got)
	}
	two := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1"}})
	out, down := two.Endpoints()[0], two.Endpoints()[1]
	fail(out, 5, start)
	if e := two.PickOther(start, down); e != out {
		t.Error("the endpoint that refused a connection was picked again although another is only ejected")
	}
	if e := two.Pick(start, down); e != down {
		t.Error("an ejected endpoint was picked for a retry although a healthy one is there")
	}
	if c.Pick(start, c.Endpoints()[1]) != c.Endpoints()[2] {
		t.Error("the only healthy endpoint besides the one to avoid was not picked")
	}
}

// When the time is over one request decides, and only one at a time; each failure makes
// the next time longer.
func TestOneRequestDecidesTheReturn(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1"}, Outlier: upstream.Outlier{EjectFor: 10 * time.Second, EjectMax: 35 * time.Second}})
	a := c.Endpoints()[0]
	fail(a, 5, start)
	now := start
	for _, wait := range []time.Duration{10, 20, 35, 35} {
		if got := picks(c, now.Add(wait*time.Second-1), 10); got["a:1"] != 0 {
			t.Fatalf("picked %v before its %d s were over", got, wait)
		}
		now = now.Add(wait * time.Second)
		if got := picks(c, now, 10); got["a:1"] != 1 {
			t.Fatalf("picked %v after %d s, want one request to decide", got, wait)
		}
		a.Failed(now)
	}
	now = now.Add(35 * time.Second)
	if got := picks(c, now, 10); got["a:1"] != 1 {
		t.Fatalf("picked %v", got)
	}
	// That request says nothing: its client left. After a lease another one may.
	if got := picks(c, now.Add(10*time.Second), 10); got["a:1"] != 1 {
		t.Fatalf("picked %v after a request without a verdict", got)
	}
	a.Answered(now.Add(11 * time.Second))
	if got := picks(c, now.Add(11*time.Second), 10); got["a:1"] != 5 || a.State() != upstream.Healthy {
		t.Errorf("picked %v after its return, state %v", got, a.State())
	}
}

// What began before the ejection and fails later says nothing new.
func TestLateFailuresDoNotLengthenAnEjection(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1"}})
	a := c.Endpoints()[0]
	fail(a, 50, start)
	if got := picks(c, after(10*time.Second), 4); got["a:1"] != 1 {
		t.Errorf("picked %v after the first ejection's time", got)
	}
}

func TestABoundedShareIsEjected(t *testing.T) {
	for percent, want := range map[int]int{0: 2, 25: 1, 100: 4, 24: 0} {
		c := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1", "c:1", "d:1"}, Outlier: upstream.Outlier{MaxEjected: percent}})
		out := 0
		for _, e := range c.Endpoints() {
			fail(e, 5, start)
			if e.State() == upstream.Ejected {
				out++
			}
		}
		if out != want {
			t.Errorf("%d %%: %d of 4 ejected, want %d", percent, out, want)
		}
		if e := c.Pick(start, nil); (e == nil) != (want == 4) {
			t.Errorf("%d %%: picked %v", percent, e)
		}
	}
}

// A policy that takes the healthy ones away must not leave a cluster with nobody, where
// ejecting everybody is not allowed.
func TestEjectionDoesNotOutlastTheOthers(t *testing.T) {
	var set upstream.Set
	c := one(&set, "a:1", "b:1")
	fail(c.Endpoints()[0], 5, start)
	one(&set, "a:1")
	if c.Pick(start, nil) == nil {
		t.Error("the only endpoint left is not picked")
	}
}

func TestChecksOutrankEverything(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1"}, Check: upstream.Check{Interval: time.Second}})
	a, b := c.Endpoints()[0], c.Endpoints()[1]
	a.SetUnhealthy(true)
	a.Answered(start)
	if got := picks(c, start, 10); got["b:1"] != 10 || a.State() != upstream.Unhealthy {
		t.Errorf("picked %v", got)
	}
	if c.PickOther(start, b) != nil {
		t.Error("an unhealthy endpoint counts as another to try")
	}
	b.SetUnhealthy(true)
	if e := c.Pick(start, nil); e != nil {
		t.Errorf("picked %s although the checks say that all are down", e.Addr)
	}
	a.SetUnhealthy(false)
	if got := picks(c, start, 10); got["a:1"] != 10 {
		t.Errorf("picked %v", got)
	}
}
