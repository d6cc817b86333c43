package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// Drain classes: what a route of the policy says about a drain.

// withClasses is a policy whose private route (here: /events) and whose tunnels have a class of their own.
func withClasses(up *upstream, http, tcp string) string {
	p := policyFor(up.web, up.raw, "v1")
	p = strings.Replace(p, "path: {prefix: /private}\n", "path: {prefix: /events}\n  drain: "+http+"\n", 1)
	return strings.Replace(p, "{listener: raw, cluster: echo,", "{listener: raw, cluster: echo, drain: "+tcp+",", 1)
}

// TestRouteDeadline: exchanges and tunnels of a route end at its own deadline, and others do not.
func TestRouteDeadline(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{policy: withClasses(up, "{deadline: 1s}", "{deadline: 2s, order: last}"), drain: "{timeout: 9s, idle_close: 500ms}"})
	w := tunnel(t, s, "raw", "")
	short := begin(t, s.web, get("/events?d=20s", "X-Api-Key: "+goodKey))
	long := begin(t, s.web, get("/slow?d=5s"))
	eventually(t, "both are upstream", func() bool { return len(up.log("/slow")) == 1 && len(up.log("/events")) == 1 })
	s.signal(t, syscall.SIGTERM)
	if r := <-short; r.err == nil {
		t.Errorf("the response that was cut looked whole: %d", r.answer.status)
	}
	if _, err := w.in.ReadByte(); isTimeout(err) {
		t.Error("the client of the tunnel was never told")
	}
	if r := <-long; r.err != nil || r.answer.status != 200 {
		t.Errorf("a response of another route: %d %v", r.answer.status, r.err)
	}
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	r := s.receipt(t)
	began, ended := r.phase("drain")
	if took := ended.Sub(began); took < 2*time.Second-grace || took > 9*time.Second {
		t.Errorf("the drain lasted %v", took)
	}
	routes := map[string]string{}
	for _, c := range r.Cut {
		routes[c.Route] = c.Cause
	}
	if len(r.Cut) != 2 || routes["private"] != "route_deadline" || routes["raw"] != "route_deadline" {
		t.Errorf("the receipt names %+v", r.Cut)
	}
}

// TestRouteNotice: a route tells its clients to leave at once, or not before draining.
func TestRouteNotice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, class    string
		told, ordinary bool // in the lame duck
	}{
		{"at once", "{notice: 0s}", true, false},
		{"off", "{notice: off}", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			duck := "{min: 30s, max: 30s, notice_after: 30s}" // ordinary routes: never, in the time of this test
			if c.ordinary {
				duck = "{min: 1s, max: 30s, notice_after: 0s}"
			}
			s := serve(t, up, setup{policy: withClasses(up, c.class, "{}"), lameDuck: duck, extra: "platform: {stop_timeout: 60s}"})
			special, ordinary := connected(t, s), connected(t, s)
			ask := func(w *wire, path string) bool {
				a, err := w.ask(get(path, "X-Api-Key: "+goodKey))
				if err != nil || a.status != 200 {
					t.Fatalf("%s: %d %v", path, a.status, err)
				}
				return a.leave
			}
			ask(special, "/events?d=50ms")
			ask(ordinary, "/")
			s.signal(t, syscall.SIGTERM)
			s.await(t, "the lame duck", msg("lame duck"))
			if c.told { // as soon as the tracker knows of the lame duck; the others in 30 s
				eventually(t, "a client of the route is told", func() bool { return ask(special, "/events?d=50ms") })
			}
			if c.ordinary {
				eventually(t, "a client of another route is told, in its turn", func() bool { return ask(ordinary, "/") })
				if ask(special, "/events?d=50ms") {
					t.Error("a client of the route was told in the lame duck")
				}
			} else if ask(ordinary, "/") {
				t.Error("a client of another route was told")
			}
			if !c.told { // told as soon as draining begins
				s.drains(t, 0, "--ack")
				s.await(t, "draining", msg("draining"))
				eventually(t, "the drain has begun", func() bool { return s.metricIs(t, "sluice_drain_deadline_timestamp_seconds") })
				if !ask(special, "/events?d=50ms") {
					t.Error("not told while draining")
				}
			}
		})
	}
}

// connected is a keep-alive connection to the web listener.
func connected(t *testing.T, s *sluice) *wire {
	t.Helper()
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// metricIs reports whether a metric is there and not zero.
func (s *sluice) metricIs(t *testing.T, series string) bool {
	t.Helper()
	v, ok := s.metric(t, series)
	return ok && v != 0
}

// TestRouteDeadlineThatDoesNotFit is refused when the policy is checked and when it is loaded.
func TestRouteDeadlineThatDoesNotFit(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	dir := prepare(t, setup{policy: withClasses(up, "{deadline: 1m}", "{}")})
	out, code := command(t, "validate", "-c", dir+"/sluice.yaml")
	if code != 2 || !strings.Contains(out, "drain.deadline 1m0s is past that of the drain, drain.timeout 8s") {
		t.Errorf("validate: exit %d: %s", code, out)
	}
	if out, code := command(t, "policy", "check", dir+"/policy"); code != 0 {
		t.Errorf("policy check, which knows of no drain: exit %d: %s", code, out)
	}
	s := serve(t, up, setup{})
	write(t, s.file("policy/main.yaml"), withClasses(up, "{deadline: 1m}", "{}"))
	eventually(t, "it is kept out", func() bool {
		out, _ := s.cli(t, "status", "-c", s.file("sluice.yaml"))
		return strings.Contains(out, "drain.deadline 1m0s")
	})
	s.stillServes(t)
}
