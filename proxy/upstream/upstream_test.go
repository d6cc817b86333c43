package upstream_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// start is when tests begin.
var start = time.Unix(1000, 0)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func one(set *upstream.Set, eps ...string) *upstream.Cluster {
	clusters, retire := set.Update([]upstream.Config{{Name: "app", Endpoints: eps}})
	retire()
	return clusters["app"]
}

func TestRoundRobinIsEven(t *testing.T) {
	var set upstream.Set
	c := one(&set, "a:1", "b:1", "c:1")
	got := map[string]int{}
	for range 300 {
		got[c.Pick(start, nil).Addr]++
	}
	for _, a := range []string{"a:1", "b:1", "c:1"} {
		if got[a] != 100 {
			t.Errorf("%s picked %d of 300 times", a, got[a])
		}
	}
}

func TestPickAvoids(t *testing.T) {
	var set upstream.Set
	c := one(&set, "a:1", "b:1")
	bad := c.Endpoints()[0]
	for range 10 {
		if e := c.Pick(start, bad); e == bad {
			t.Fatal("picked the endpoint to avoid although there is another")
		}
	}
	c = one(&set, "a:1")
	if e := c.Pick(start, c.Endpoints()[0]); e == nil {
		t.Fatal("the only endpoint must still be picked")
	}
	if e := one(&set).Pick(start, nil); e != nil {
		t.Fatalf("picked %v from an empty cluster", e.Addr)
	}
}

func TestUpdateKeepsWhatStays(t *testing.T) {
	var set upstream.Set
	c := one(&set, "a:1", "b:1")
	a, b := c.Endpoints()[0], c.Endpoints()[1]
	c2 := one(&set, "b:1", "c:1")
	if c2 != c {
		t.Error("the cluster lost its identity")
	}
	if !a.Gone() || b.Gone() {
		t.Errorf("gone: a %v b %v, want true false", a.Gone(), b.Gone())
	}
	if !slices.Contains(c.Endpoints(), b) {
		t.Error("b lost its identity")
	}
	_, retire := set.Update(nil)
	if b.Gone() || c.Pick(start, nil) == nil {
		t.Error("a cluster that left must last until the snapshot is swapped")
	}
	retire()
	if !b.Gone() || c.Pick(start, nil) != nil {
		t.Error("a cluster that left the policy can still be picked")
	}
}

func TestIdlePool(t *testing.T) {
	var set upstream.Set
	clusters, _ := set.Update([]upstream.Config{{Name: "app", Endpoints: []string{"a:1"}, MaxIdle: 2}})
	e := clusters["app"].Endpoints()[0]
	now := time.Unix(100, 0)
	var p upstream.Idle[int]
	if _, ok := p.Take(e, now); ok {
		t.Fatal("took from an empty pool")
	}
	if !p.Put(e, 1, now.Add(time.Second)) || !p.Put(e, 2, now.Add(time.Second)) {
		t.Fatal("the pool refused with room left")
	}
	if p.Put(e, 3, now.Add(time.Second)) {
		t.Fatal("the pool took more than MaxIdle")
	}
	if got, _ := p.Take(e, now); got != 2 {
		t.Errorf("took %d, want the newest", got)
	}
	if _, ok := p.Take(e, now.Add(time.Second)); ok {
		t.Error("took an expired connection")
	}
	if p.Remove(e, 7) || !p.Remove(e, 1) || p.Len() != 0 {
		t.Error("Remove found the wrong one")
	}
	p.Put(e, 4, now.Add(time.Second))
	_, retire := set.Update(nil)
	retire()
	if got := p.Sweep(); !slices.Equal(got, []int{4}) {
		t.Errorf("swept %v", got)
	}
	if p.Put(e, 5, now.Add(time.Second)) {
		t.Error("pooled a connection to an endpoint that is gone")
	}
}
