package upstream_test

import (
	"math/rand/v2"
	"testing"

	"github.com/sluiceproxy/sluice/proxy/upstream"
)

func leastRequest(eps ...string) *upstream.Cluster {
	var set upstream.Set
	clusters, retire := set.Update([]upstream.Config{{Name: "app", Endpoints: eps, Balance: upstream.LeastRequest}})
	retire()
	return clusters["app"]
}

// A queueing model in steps: each step one request arrives, and endpoint i finishes one
// of its requests every slow[i] steps.
func play(c *upstream.Cluster, slow []int, steps int) []int {
	eps := c.Endpoints()
	got := make([]int, len(eps))
	for s := range steps {
		e := c.Pick(start, nil)
		e.Active.Add(1)
		for i := range eps {
			if eps[i] == e {
				got[i]++
			}
			if s%slow[i] == 0 && eps[i].Active.Load() > 0 {
				eps[i].Active.Add(-1)
			}
		}
	}
	return got
}

// Whatever the speeds: nobody starves, and the slower of two gets fewer.
func TestLeastRequestPrefersTheLessBusy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 2 + r.IntN(6)
		eps, slow := make([]string, n), make([]int, n)
		for i := range eps {
			eps[i], slow[i] = string(rune('a'+i))+":1", 1+r.IntN(8)
		}
		const steps = 4000
		got := play(leastRequest(eps...), slow, steps)
		for i := range got {
			if got[i] < steps/n/20 {
				t.Fatalf("speeds %v: endpoint %d got %d of %d: it starves", slow, i, got[i], steps)
			}
		}
		if n == 2 && slow[0] != slow[1] && (slow[0] > slow[1]) != (got[0] < got[1]) && max(slow[0], slow[1]) > 2 {
			t.Fatalf("speeds %v: requests %v; the slower got no fewer", slow, got)
		}
	}
}

// Without load it is round robin: ties go by turns.
func TestLeastRequestAtRestIsEven(t *testing.T) {
	c := leastRequest("a:1", "b:1", "c:1")
	got := map[string]int{}
	for range 300 {
		got[c.Pick(start, nil).Addr]++
	}
	for a, n := range got {
		if n != 100 {
			t.Errorf("%s picked %d of 300 times", a, n)
		}
	}
}

// An endpoint with a request more is not picked while another of two has fewer.
func TestLeastRequestOfTwoIsExact(t *testing.T) {
	c := leastRequest("a:1", "b:1")
	c.Endpoints()[0].Active.Add(3)
	for range 3 {
		e := c.Pick(start, nil)
		if e.Addr != "b:1" {
			t.Fatalf("picked %s, which is busier", e.Addr)
		}
		e.Active.Add(1)
	}
	if bad := c.Endpoints()[1]; c.Pick(start, bad) == bad {
		t.Error("picked the endpoint to avoid")
	}
}
