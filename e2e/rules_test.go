package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The rules and alerts of deploy/prometheus, held against what the product really says.

const rulesFile = "../deploy/prometheus/rules.yml"

// promtoolPath finds it where setup.sh puts it, or in the path.
func promtoolPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		path = tool(t, "promtool")
	}
	return path
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(promtoolPath(t), args...)
	cmd.Dir = filepath.Dir(rulesFile)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestRulesPassPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "rules.yml")
	promtool(t, "test", "rules", "rules_test.yml")
}

// selectors are the metrics that the rules name, with the labels and values they ask for.
var (
	selectorPattern = regexp.MustCompile(`\b((?:sluice|http_server)_[a-z0-9_]+)(\{[^}]*\})?`)
	labelPattern    = regexp.MustCompile(`([a-z_]+)=(~?)"([^"]*)"`)
)

// TestRulesNameWhatIsThere: every metric of the rules is in docs/metrics.md, and a process
// that was started after a stop serves it with each label value that the rules ask for.
func TestRulesNameWhatIsThere(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	c, _ := secure(t, "")
	s := serve(t, up, setup{ofRaw: c.ofRaw})
	s.signal(t, syscall.SIGTERM)
	s.exit(t, patience)
	again := launch(t, nil, built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	s.probes = again.listening(t, "component", "probes")
	again.await(t, "serving", msg("serving"))
	if a, err := once(again.listening(t, "listener", "web"), get("/")); err != nil || a.status != 200 {
		t.Fatalf("GET: %d %v", a.status, err)
	}
	_, scraped := s.probe(t, "/metrics")
	readReference(t).labelsAreClosed(t, scraped)
	rulesNameWhatIsThere(t, scraped, 5, func(name string) bool { return !strings.HasPrefix(name, "sluice_generation_") && !ofFleets(name) })
}

// ofFleets are metrics that a process without a fleet does not have.
func ofFleets(name string) bool {
	return strings.HasPrefix(name, "sluice_fleet_") || name == "sluice_sessions_revocation_fleet_stale_seconds"
}

// rulesNameWhatIsThere holds those metrics of the rules that are looked at against a scrape; they are named that often at least.
func rulesNameWhatIsThere(t *testing.T, scraped string, least int, look func(name string) bool) {
	t.Helper()
	docs := read(t, "../docs/metrics.md")
	rules := regexp.MustCompile(`(?m)#.*$|record:.*$|summary:.*$|job\w*:\w+:\w+|instance\w*:\w+:\w+`).ReplaceAllString(read(t, rulesFile), "")
	found := 0
	for _, m := range selectorPattern.FindAllStringSubmatch(rules, -1) {
		if !look(m[1]) {
			continue
		}
		found++
		name := strings.TrimSuffix(strings.TrimSuffix(m[1], "_bucket"), "_count")
		if !strings.Contains(docs, "| `"+name+"` |") {
			t.Errorf("the rules name %s, which docs/metrics.md does not know", m[1])
		}
		if !strings.Contains(scraped, "\n"+m[1]) {
			t.Errorf("the rules name %s, which nobody serves", m[1])
		}
		for _, l := range labelPattern.FindAllStringSubmatch(m[2], -1) {
			for _, value := range strings.Split(l[3], "|") {
				if l[1] == "http_response_status_code" { // of real answers: no closed set at the start
					continue
				}
				if !regexp.MustCompile(`(?m)^` + m[1] + `\{[^}]*` + l[1] + `="` + value + `"`).MatchString(scraped) {
					t.Errorf("the rules ask for %s{%s=%q}, which nobody serves", m[1], l[1], value)
				}
			}
		}
	}
	if found < least {
		t.Errorf("found %d metrics in the rules: the test looks at the wrong place", found)
	}
}

// TestMetricsPassPromtool: the metrics of a real process are clean.
func TestMetricsPassPromtool(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{})
	_, text := s.probe(t, "/metrics")
	file := filepath.Join(t.TempDir(), "metrics")
	write(t, file, text)
	path := promtoolPath(t)
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command(path, "check", "metrics")
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// lastScrape scrapes until the process is gone, as Prometheus does, and returns the last answer, and when the first came that
// has a sign of the end of the drain.
func (s *sluice) lastScrape(t *testing.T, sign string) (last string, seen time.Time) {
	t.Helper()
	eventually(t, "the process is gone after its last scrape", func() bool {
		select {
		case <-s.exited:
			return true
		default:
		}
		resp, err := client().Get("http://" + s.probes + "/metrics")
		if err != nil {
			return false // it is about to exit
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return false
		}
		if last = string(text); seen.IsZero() && strings.Contains(last, sign) {
			seen = time.Now()
		}
		return false
	})
	if seen.IsZero() {
		t.Errorf("no scrape has %s", sign)
	}
	return last, seen
}

// TestLingerAfterACut: what a drain cut is known when its time is over, and the last scrape has time of its own.
func TestLingerAfterACut(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 1s, idle_close: 300ms, linger: 20s}", extra: "platform: {stop_timeout: 45s}"})
	begin(t, s.web, get("/slow?d=60s"))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	s.signal(t, syscall.SIGTERM)
	last, _ := s.lastScrape(t, `sluice_drain_duration_seconds_count{outcome="cut"} 1`)
	for _, want := range []string{"sluice_drain_requests_interrupted_total 1", `sluice_drain_connections_closed_total{outcome="cut"} 1`} {
		if !strings.Contains(last, "\n"+want) {
			t.Errorf("the last scrape does not say %s", want)
		}
	}
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d", code)
	}
}

// TestLinger: with drain.linger the probes listener waits for one scrape, which sees the final
// numbers, and no longer.
func TestLinger(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 4s, idle_close: 300ms, linger: 20s}", extra: "platform: {stop_timeout: 45s}"})
	slow := begin(t, s.web, get("/slow?d=1s", "Connection: close"))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) == 1 })
	s.signal(t, syscall.SIGTERM)
	if r := <-slow; r.err != nil || r.answer.status != 200 {
		t.Errorf("the response: %d, %v", r.answer.status, r.err)
	}
	last, seen := s.lastScrape(t, `sluice_drain_duration_seconds_count{outcome="clean"} 1`)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if waited := s.exitAt.Sub(seen); waited > 15*time.Second {
		t.Errorf("the process lived for %v after its last scrape: all of linger", waited)
	}
	for _, want := range []string{
		`sluice_drain_connections_closed_total{outcome="completed"} 1`, `sluice_drain_connections_closed_total{outcome="cut"} 0`,
		"sluice_drain_requests_interrupted_total 0", `sluice_drain_phase_duration_seconds_count{phase="drain"} 1`,
		`sluice_drain_phase_duration_seconds_count{phase="close_listeners"} 1`, `sluice_drain_connections_initial{state="active"} 1`,
	} {
		if !strings.Contains(last, "\n"+want) {
			t.Errorf("the last scrape does not say %s", want)
		}
	}
}
