package e2e

import (
	"os"
	"testing"
)

// TestZeroAllocationsPerRequest: in steady state a request allocates nothing on the heap
// of the real binary: keep-alive GET, API key, rule, metrics and access log on.
func TestZeroAllocationsPerRequest(t *testing.T) {
	if os.Getenv("E2E_RACE") != "" {
		t.Skip("the race detector allocates")
	}
	requests, bound := 1_000_000, 10_000.0
	if testing.Short() { // what the process does besides counts for more here
		requests, bound = 20_000, 6_000
	}
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1"), poll: "1m", extra: "log: {access: true}"})
	const connections = 8
	h2load(t, s, 10_000, connections) // pools, buffers, stacks
	// A scrape allocates, and so does a connection: both are measured, and taken away.
	// go_memstats_mallocs_total is /gc/heap/allocs:objects and the tiny ones.
	objects := func() float64 {
		v, ok := s.metric(t, "go_memstats_mallocs_total")
		if !ok {
			t.Fatal("no go_memstats_mallocs_total")
		}
		return v
	}
	round := func(n int) float64 {
		before := objects()
		h2load(t, s, n, connections)
		return objects() - before
	}
	base := min(round(connections), round(connections), round(connections))
	if grown := round(requests) - base; grown >= bound {
		t.Errorf("%.0f objects allocated over %d requests, want less than %.0f", grown, requests, bound)
	} else {
		t.Logf("%.0f objects over %d requests (a scrape and %d connections: %.0f)", grown, requests, connections, base)
	}
}
