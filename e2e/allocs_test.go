package e2e

import (
	"os"
	"testing"
)

// TestZeroAllocationsPerRequest: in steady state a request allocates nothing on the heap
// of the real binary: keep-alive GET, API key, rule, metrics and access log on.
func TestZeroAllocationsPerRequest(t *testing.T) {
	// What the process does besides, by the second, counts for more than in a million, and more on a busy machine.
	requests, bound := 200_000, 20_000.0
	switch {
	case heavy():
		requests, bound = 1_000_000, 10_000
	case testing.Short():
		requests, bound = 20_000, 6_000
	}
	allocatesNothing(t, "/private", 10_000, requests, bound)
}

// TestZeroAllocationsPerLongResponse: nor does one of 1 MiB, most of which is moved. The bound is
// what the count lags behind (spans of 8 KiB that are not full), and less than one for each.
func TestZeroAllocationsPerLongResponse(t *testing.T) {
	requests, bound := 12_000, 11_000.0
	if testing.Short() {
		requests, bound = 8_000, 6_500
	}
	allocatesNothing(t, nginxMiB, 1_000, requests, bound)
}

// allocatesNothing: that many requests allocate fewer objects than bound, once as many as warm
// have filled pools, buffers and stacks.
func allocatesNothing(t *testing.T, path string, warm, requests int, bound float64) {
	t.Helper()
	if os.Getenv("E2E_RACE") != "" {
		t.Skip("the race detector allocates")
	}
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1"), poll: "1m", extra: "log: {access: true}"})
	const connections = 8
	h2load(t, s, path, warm, connections)
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
		h2load(t, s, path, n, connections)
		return objects() - before
	}
	base := min(round(connections), round(connections), round(connections))
	if grown := round(requests) - base; grown >= bound {
		t.Errorf("%.0f objects allocated over %d requests, want less than %.0f", grown, requests, bound)
	} else {
		t.Logf("%.0f objects over %d requests (a scrape and %d connections: %.0f)", grown, requests, connections, base)
	}
}
