package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manyRoutes is a policy of n routes with rules, over a hundred hosts.
func manyRoutes(addr string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "clusters: {app: {endpoints: [%q]}}\nroutes:\n", addr)
	for i := range n {
		fmt.Fprintf(&b, "- {name: r%[1]d, hosts: [h%[2]d.example.com], path: {prefix: /r%[1]d}, cluster: app, policy: "+
			"[{allow: {and: [{source_ip: 127.0.0.0/8}, {http_method: {in: [GET, HEAD]}}]}}, {deny: {or: [{source_ip: 10.%[2]d.0.0/16}]}}]}\n", i, i%100)
	}
	return b.String()
}

// TestManyRoutes compares the cost of a request to one of 10 routes with one of very
// many, chosen at random, and the time to be ready with the time to read the policy.
func TestManyRoutes(t *testing.T) {
	n, rounds, seconds := 10_000, 4, 1
	switch {
	case heavy():
		n, rounds, seconds = 100_000, 10, 2
	case testing.Short():
		t.Skip("not a smoke test")
	case os.Getenv("E2E_DRIVER") != "":
		t.Skip("no driver knows of routes")
	}
	origin := newNginx(t)
	few, many := newRouted(t, origin.addr, 10), newRouted(t, origin.addr, n)
	few.load(t, seconds)
	many.load(t, seconds)
	// In turns, and the cheapest of each: whoever else has the machine for a moment makes
	// a request dearer, never cheaper. The decision itself is measured in bench, to 0.5 us;
	// a tree walk or a scan of this many routes would be a multiple of the whole request.
	least, most := time.Hour, time.Hour
	for range rounds {
		least = min(least, few.cost(t, seconds))
		most = min(most, many.cost(t, seconds))
	}
	t.Logf("CPU per request: %v with 10 routes, %v with %d", least, most, n)
	if most > least*3/2 {
		t.Errorf("a request costs %v among %d routes, %v among 10", most, n, least)
	}
}

// routed is a proxy with n routes and the script of a client that asks for random ones.
type routed struct {
	*sluice
	web, script string
}

func newRouted(t *testing.T, addr string, n int) *routed {
	t.Helper()
	dir := prepare(t, setup{policy: manyRoutes(addr, n)})
	began := time.Now()
	if out, code := command(t, "policy", "check", filepath.Join(dir, "policy")); code != 0 {
		t.Fatalf("policy check: exit %d: %.500s", code, out)
	}
	check := time.Since(began)
	began = time.Now()
	s := &sluice{dir: dir}
	s.process = launch(t, nil, built.sluice, "run", "--config", s.file("sluice.yaml"))
	r := &routed{sluice: s, web: s.listening(t, "listener", "web"), script: filepath.Join(dir, "random.lua")}
	s.probes = s.listening(t, "component", "probes")
	serving := s.await(t, "serving", msg("serving")).at(t).Sub(began)
	t.Logf("%d routes: checked in %v, serving after %v", n, check, serving)
	// Files are left alone for a moment before they are read, in case more of them change.
	if serving > 2*check+time.Second {
		t.Errorf("serving %v after the start, checking alone takes %v; want at most twice that", serving, check)
	}
	write(t, r.script, fmt.Sprintf(`request = function()
  local i = math.random(0, %d)
  return "GET /r" .. i .. "/x HTTP/1.1\r\nHost: h" .. (i %% 100) .. ".example.com\r\n\r\n"
end
`, n-1))
	return r
}

// load has random routes asked for, for some seconds, and returns how many requests that were.
func (r *routed) load(t *testing.T, seconds int) (requests int) {
	t.Helper()
	out := do(t, "wrk", "-t1", "-c16", "-d"+strconv.Itoa(seconds)+"s", "-s", r.script, "http://"+r.web+"/")
	if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
		t.Fatalf("wrk saw errors:\n%s", out)
	}
	m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("wrk: %s", out)
	}
	requests, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

// cost is the CPU time of the proxy for each request of a load.
func (r *routed) cost(t *testing.T, seconds int) time.Duration {
	t.Helper()
	before, _ := r.metric(t, "process_cpu_seconds_total")
	requests := r.load(t, seconds)
	after, _ := r.metric(t, "process_cpu_seconds_total")
	return time.Duration((after - before) / float64(requests) * float64(time.Second))
}
