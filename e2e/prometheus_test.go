package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Times of the Prometheus of the tests.
const (
	scrapeEvery = time.Second
	twiceThat   = "2s" // drain.linger
	promAge     = 90 * time.Second
)

// prometheus is Debian's, with rules and targets of a test.
type prometheus struct {
	*process
	url     string
	dir     string
	began   time.Time
	targets map[string]string // addresses of probes listeners by instance
}

// newPrometheus starts one with these rules, and no target. `make heavy` runs what needs it.
func newPrometheus(t *testing.T, rules string) *prometheus {
	t.Helper()
	if !heavy() {
		t.Skip("needs Prometheus: make heavy")
	}
	bin, err := filepath.Abs("../bin/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		bin = tool(t, "prometheus")
	}
	p := &prometheus{dir: t.TempDir(), began: time.Now(), targets: map[string]string{}}
	write(t, filepath.Join(p.dir, "rules.yml"), rules)
	write(t, filepath.Join(p.dir, "prometheus.yml"), fmt.Sprintf(`global: {scrape_interval: %s, scrape_timeout: %[1]s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
- {job_name: sluice, file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]}
`, scrapeEvery))
	p.aim(t)
	addr := freeAddress(t)
	cmd := exec.Command(bin, "--config.file="+filepath.Join(p.dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(p.dir, "data"),
		"--web.listen-address="+addr, "--log.format=json", "--query.lookback-delta=5m")
	p.process, p.url = launchLogged(t, cmd, nil, false), "http://"+addr
	p.holds(t, "Prometheus is ready", func() bool {
		resp, err := client().Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// client keeps no connection.
func client() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
}

// aim writes the targets.
func (p *prometheus) aim(t *testing.T) {
	t.Helper()
	groups := []map[string]any{}
	for _, instance := range slices.Sorted(maps.Keys(p.targets)) {
		groups = append(groups, map[string]any{"targets": []string{p.targets[instance]}, "labels": map[string]string{"instance": instance}})
	}
	text, err := json.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "targets.json"), string(text))
}

// scrape adds a target and returns once it was scraped twice: a counter of it is seen to rise.
func (p *prometheus) scrape(t *testing.T, instance, probes string) {
	t.Helper()
	p.targets[instance] = probes
	p.aim(t)
	p.holds(t, instance+" is scraped", func() bool {
		return len(p.ask(t, fmt.Sprintf(`count_over_time(up{instance=%q}[1m]) > 1 and up{instance=%q} == 1`, instance, instance))) > 0
	})
}

// forget takes a target away.
func (p *prometheus) forget(t *testing.T, instance string) {
	t.Helper()
	delete(p.targets, instance)
	p.aim(t)
}

// holds waits for a condition that takes scrapes and evaluations.
func (p *prometheus) holds(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit := time.Now().Add(promAge)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(limit) {
			t.Fatalf("not within %v: %s", promAge, what)
		}
		<-tick.C
	}
}

// series is one of an answer: its labels, and its values with their times.
type series struct {
	Metric map[string]string
	Value  [2]any   // of an instant
	Values [][2]any // of a range
}

// result is what a query gave.
type result []series

// values are those of an instant, in the order of the answer.
func (r result) values() (list []float64) {
	for _, s := range r {
		text, _ := s.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		list = append(list, v)
	}
	return list
}

// by are the values of an instant by one of their labels.
func (r result) by(label string) map[string]float64 {
	m := map[string]float64{}
	for i, v := range r.values() {
		m[r[i].Metric[label]] = v
	}
	return m
}

// ask evaluates a query now.
func (p *prometheus) ask(t *testing.T, query string) result {
	t.Helper()
	return p.get(t, "query", url.Values{"query": {query}})
}

// over evaluates a query for each second since this server was started.
func (p *prometheus) over(t *testing.T, query string) result {
	t.Helper()
	at := func(when time.Time) string { return strconv.FormatFloat(float64(when.UnixMilli())/1000, 'f', 3, 64) }
	return p.get(t, "query_range", url.Values{"query": {query}, "start": {at(p.began)}, "end": {at(time.Now())}, "step": {"1"}})
}

func (p *prometheus) get(t *testing.T, api string, form url.Values) result {
	t.Helper()
	resp, err := client().PostForm(p.url+"/api/v1/"+api, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var answer struct {
		Status, Error string
		Data          struct{ Result json.RawMessage }
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil || answer.Status != "success" {
		t.Fatalf("%s %s: %v %s", api, form.Get("query"), err, answer.Error)
	}
	if strings.HasPrefix(string(answer.Data.Result), "[") && !strings.HasPrefix(string(answer.Data.Result), "[{") {
		return nil // empty, or a scalar
	}
	var r result
	if err := json.Unmarshal(answer.Data.Result, &r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}

// fires waits until an alert fires for an instance (or cluster, or whatever the label says).
func (p *prometheus) fires(t *testing.T, alert, label, value string) {
	t.Helper()
	p.holds(t, alert+" fires for "+value, func() bool { return p.firing(t, alert, label, value) })
}

// ends waits until it does not any more.
func (p *prometheus) ends(t *testing.T, alert, label, value string) {
	t.Helper()
	p.holds(t, alert+" ends for "+value, func() bool { return !p.firing(t, alert, label, value) })
}

func (p *prometheus) firing(t *testing.T, alert, label, value string) bool {
	t.Helper()
	return len(p.ask(t, fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing", %s=%q}`, alert, label, value))) > 0
}
