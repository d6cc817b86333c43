package e2e

import (
	"fmt"
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
	n, duration := 10_000, 3
	switch {
	case heavy():
		n, duration = 100_000, 10
	case testing.Short():
		t.Skip("not a smoke test")
	}
	origin := newNginx(t)
	few := costOf(t, origin.addr, 10, duration)
	many := costOf(t, origin.addr, n, duration)
	t.Logf("CPU per request: %v with 10 routes, %v with %d", few, many, n)
	// The decision itself is measured in bench, to 0.5 us. From outside, a tree walk or a
	// scan would show as tens of microseconds; two cores shared by five programs are noisy.
	if many-few > 15*time.Microsecond+few/4 {
		t.Errorf("a request costs %v more among %d routes", many-few, n)
	}
}

// costOf is the CPU time of the proxy per request to a random one of n routes.
func costOf(t *testing.T, addr string, n, seconds int) time.Duration {
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
	web := s.listening(t, "listener", "web")
	s.probes = s.listening(t, "component", "probes")
	serving := s.await(t, "serving", msg("serving")).at(t).Sub(began)
	// Files are left alone for a moment before they are read, in case more of them change.
	if serving > 2*check+time.Second {
		t.Errorf("serving %v after the start, checking alone takes %v; want at most twice that", serving, check)
	}
	script := filepath.Join(dir, "random.lua")
	write(t, script, fmt.Sprintf(`request = function()
  local i = math.random(0, %d)
  return "GET /r" .. i .. "/x HTTP/1.1\r\nHost: h" .. (i %% 100) .. ".example.com\r\n\r\n"
end
`, n-1))
	wrk := func(seconds int) (requests int) {
		out := do(t, "wrk", "-t1", "-c16", "-d"+strconv.Itoa(seconds)+"s", "-s", script, "http://"+web+"/")
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
	wrk(1)
	cpu := func() float64 { v, _ := s.metric(t, "process_cpu_seconds_total"); return v }
	before := cpu()
	requests := wrk(seconds)
	cost := time.Duration((cpu() - before) / float64(requests) * float64(time.Second))
	t.Logf("%d routes: checked in %v, serving after %v, %d requests", n, check, serving, requests)
	return cost
}
