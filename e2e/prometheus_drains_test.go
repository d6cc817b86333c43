package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// shortRules are the rules of deploy with times that a test can wait for: windows and waits of seconds.
func shortRules(t *testing.T) string {
	t.Helper()
	text := read(t, rulesFile)
	for _, r := range []struct{ from, to string }{
		{`(?m)^    for: \S+$`, "    for: 1s"}, {`\[(5m|10m|1h)\]`, "[10s]"}, {`< 600\b`, "< 10"}, {`sluice_policy_stale_seconds > 300`, "sluice_policy_stale_seconds > 2"},
	} {
		short := regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
		if short == text {
			t.Fatalf("no rule has %s any more", r.from)
		}
		text = short
	}
	return text
}

// account is what the last sample of a process is held against: its receipt.
type account struct {
	Phases   []struct{ Name string }
	Initial  map[string]float64
	Outcomes map[string]float64
	Exchange struct {
		Interrupted float64
	} `json:"exchanges"`
}

// TestPrometheusSeesTheEndOfEachDrain: two replicas are restarted in turns, under load, now and then with requests that
// take too long; with linger at twice the interval, what Prometheus saw last of each life is what its receipt says.
// What it cost fires an alert, and the alert ends.
func TestPrometheusSeesTheEndOfEachDrain(t *testing.T) {
	p := newPrometheus(t, shortRules(t))
	up := newUpstream(t)
	r := &rollout{p: p, up: up}
	r.start(t, "a")
	r.start(t, "b")
	const restarts = 12
	lost := 0
	for i := range restarts {
		old := r.running[0]
		r.start(t, string("ab"[i%2])) // it is scraped before the old one leaves
		cut := i%3 == 2
		account := r.stop(t, old, cut)
		if cut && account.Exchange.Interrupted == 0 {
			t.Error("nothing was interrupted: the test tests nothing")
		}
		if n := account.Exchange.Interrupted; n > 0 {
			lost += int(n)
			p.fires(t, "SluiceRequestsInterrupted", "instance", old.name)
			p.fires(t, "SluiceDrainCut", "instance", old.name)
			p.ends(t, "SluiceRequestsInterrupted", "instance", old.name)
			p.ends(t, "SluiceDrainCut", "instance", old.name)
		}
	}
	seen := p.ask(t, `sum(last_over_time(sluice_drain_duration_seconds_count[1h]))`).values()
	if len(seen) != 1 || seen[0] != restarts {
		t.Errorf("Prometheus saw the end of %v drains of %d", seen, restarts)
	}
	t.Logf("%d restarts of two replicas, each 1 s of interval and %s of linger: the end of each was seen; %d requests were cut on purpose, and told", restarts, twiceThat, lost)
}

// rollout is replicas that are replaced one after the other, each life under a name of its own, as pods are.
type rollout struct {
	p       *prometheus
	up      *upstream
	running []*life // the oldest first
	lives   int
}

// life is one process.
type life struct {
	*sluice
	name string
}

// start starts the next life of a replica and waits until Prometheus has seen it.
func (r *rollout) start(t *testing.T, replica string) {
	t.Helper()
	r.lives++
	s := serve(t, r.up, setup{drain: "{timeout: 2s, idle_close: 300ms, flush: 1s, linger: " + twiceThat + "}", extra: "platform: {stop_timeout: 30s}"})
	l := &life{s, fmt.Sprintf("%s%d", replica, r.lives)}
	r.running = append(r.running, l)
	r.p.scrape(t, l.name, l.probes)
	r.pulse(t)
}

// pulse is some traffic to all: allowed, denied, and a tunnel that comes and goes.
func (r *rollout) pulse(t *testing.T) {
	t.Helper()
	for _, l := range r.running {
		for _, path := range []string{"/", "/echo", "/private", "/secret"} {
			if _, err := once(l.web, get(path)); err != nil {
				t.Errorf("%s%s: %v", l.name, path, err)
			}
		}
	}
}

// stop ends a life with requests under way, and returns its account, which Prometheus has to know.
func (r *rollout) stop(t *testing.T, l *life, cut bool) account {
	t.Helper()
	r.running = r.running[1:]
	before := len(r.up.log("/slow"))
	fields := []string{"Connection: close"} // so that the drain ends early
	if cut {
		fields = nil // idle ones whose client stays: the drain takes all its time
	}
	held := []<-chan reply{begin(t, l.web, get("/slow?d=500ms", fields...)), begin(t, l.web, get("/slow?d=1s", fields...))}
	if cut {
		held = append(held, begin(t, l.web, get("/slow?d=40s")))
	}
	eventually(t, "the requests are upstream", func() bool { return len(r.up.log("/slow")) == before+len(held) })
	l.signal(t, syscall.SIGTERM)
	for i, reply := range held {
		if got := <-reply; i < 2 && (got.err != nil || got.answer.status != 200) {
			t.Errorf("%s: a request under way: %d, %v", l.name, got.answer.status, got.err)
		}
	}
	l.exit(t, patience)
	r.p.forget(t, l.name)
	r.pulse(t)
	var a account
	if err := json.Unmarshal([]byte(read(t, l.file("receipt.json"))), &a); err != nil {
		t.Fatal(err)
	}
	r.told(t, l.name, a)
	return a
}

// told holds the last sample of a life against its account.
func (r *rollout) told(t *testing.T, name string, a account) {
	t.Helper()
	last := func(series, by string) map[string]float64 {
		return r.p.ask(t, fmt.Sprintf(`sum by (%s) (last_over_time(%s{instance=%q}[1h]))`, by, series, name)).by(by)
	}
	for by, of := range map[string]struct {
		series string
		want   map[string]float64
	}{"outcome": {"sluice_drain_connections_closed_total", a.Outcomes}, "state": {"sluice_drain_connections_initial", a.Initial}} {
		got := last(of.series, by)
		for what, n := range of.want {
			if got[what] != n {
				t.Errorf("%s: the last sample says %s{%s=%q} %v, and the receipt %v", name, of.series, by, what, got[what], n)
			}
		}
		if len(got) < len(of.want) || len(of.want) == 0 {
			t.Errorf("%s: the last sample has %v, and the receipt %v", name, got, of.want)
		}
	}
	if got := last("sluice_drain_requests_interrupted_total", "instance")[name]; got != a.Exchange.Interrupted {
		t.Errorf("%s: the last sample says %v interrupted, and the receipt %v", name, got, a.Exchange.Interrupted)
	}
	if got := last("sluice_drain_duration_seconds_count", "instance")[name]; got != 1 {
		t.Errorf("%s: the end of the drain is in no sample", name)
	}
	phases := last("sluice_drain_phase_duration_seconds_count", "phase")
	for _, phase := range a.Phases {
		if phases[phase.Name] != 1 {
			t.Errorf("%s: the last sample has %v, and the receipt the phase %s", name, phases, phase.Name)
		}
	}
	if t.Failed() {
		t.Logf("%s was scraped at %s", name, strings.TrimSpace(fmt.Sprint(r.p.over(t, fmt.Sprintf(`timestamp(up{instance=%q})`, name)))))
	}
}
