package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What queries of Prometheus may ask for: the generated reference of the metrics is the authority.

// reference is what docs/metrics.md says of metrics and their labels.
type reference struct {
	kinds  map[string]string              // type, by metric
	labels map[string][]string            // by metric
	values map[string]map[string][]string // of closed sets, by metric and label
}

var quotedPattern = regexp.MustCompile("`([^`]+)`")

// quoted are the words in backquotes.
func quoted(text string) (words []string) {
	for _, m := range quotedPattern.FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

// readReference reads the tables of docs/metrics.md.
func readReference(t *testing.T) reference {
	t.Helper()
	r := reference{map[string]string{}, map[string][]string{}, map[string]map[string][]string{}}
	type row struct {
		label  string
		of     []string // nil: wherever it is
		values []string
	}
	var rows []row
	for line := range strings.Lines(read(t, "../docs/metrics.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name := quoted(cells[0])
		switch {
		case len(name) != 1:
		case len(cells) == 6:
			r.kinds[name[0]], r.labels[name[0]] = strings.TrimSpace(cells[1]), quoted(cells[3])
		case len(cells) == 3 && strings.TrimSpace(quotedPattern.ReplaceAllString(cells[2], "")) == "": // nothing but values
			rows = append(rows, row{name[0], quoted(cells[1]), quoted(cells[2])})
		}
	}
	for metric, labels := range r.labels {
		r.values[metric] = map[string][]string{}
		for _, row := range rows {
			if slices.Contains(labels, row.label) && (row.of == nil || slices.Contains(row.of, metric)) {
				r.values[metric][row.label] = row.values
			}
		}
	}
	if len(r.kinds) < 80 || len(rows) < 15 {
		t.Fatalf("found %d metrics and %d closed sets: the test looks at the wrong place", len(r.kinds), len(rows))
	}
	return r
}

// family is the metric that a series belongs to: itself, or the histogram of a _bucket, _sum or _count.
func (r reference) family(series string) (string, bool) {
	if kind, ok := r.kinds[series]; ok {
		return series, kind != "histogram"
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, suffix); ok && r.kinds[name] == "histogram" {
			return name, true
		}
	}
	return "", false
}

var (
	queryMetric   = regexp.MustCompile(`\b((?:sluice|http_server)_[a-z0-9_]+)(\{[^}]*\})?`)
	queryRecorded = regexp.MustCompile(`\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+\b`)
	queryGrouping = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right) *\(([^)]*)\)`)
	queryMatcher  = regexp.MustCompile(`([a-z_]+) *(=~|!~|!=|=) *"([^"]*)"`)
	queryMade     = regexp.MustCompile(`label_replace\(.*?, "([a-z_]+)", "`)
)

// ask holds a query against the reference: metrics, labels and the values of closed sets, and records against the rules.
func (r reference) ask(t *testing.T, where, query string) {
	t.Helper()
	known := []string{"job", "instance", "le"}
	for _, m := range queryMade.FindAllStringSubmatch(query, -1) {
		known = append(known, m[1])
	}
	metrics := queryMetric.FindAllStringSubmatch(queryRecorded.ReplaceAllString(query, ""), -1)
	for _, m := range metrics {
		name, ok := r.family(m[1])
		if !ok {
			t.Errorf("%s asks for %s, which docs/metrics.md does not have", where, m[1])
			continue
		}
		known = append(known, r.labels[name]...)
		for _, l := range queryMatcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append([]string{"job", "instance", "le"}, r.labels[name]...), l[1]) {
				t.Errorf("%s asks %s for the label %s, which it does not have", where, m[1], l[1])
			}
			for _, value := range strings.Split(l[3], "|") {
				if set := r.values[name][l[1]]; set != nil && !slices.Contains(set, value) {
					t.Errorf("%s asks for %s{%s=%q}, which does not occur: it is one of %v", where, m[1], l[1], value, set)
				}
			}
		}
	}
	rules := read(t, rulesFile)
	recorded := queryRecorded.FindAllString(query, -1)
	for _, name := range recorded {
		if !strings.Contains(rules, "record: "+name+"\n") {
			t.Errorf("%s asks for %s, which no rule records", where, name)
		}
	}
	if len(recorded) > 0 {
		return // its labels are those of the rule
	}
	for _, m := range queryGrouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" && len(metrics) > 0 && !slices.Contains(known, label) {
				t.Errorf("%s groups by %s, which is no label of what it asks for", where, label)
			}
		}
	}
}

// parses holds queries against Prometheus' own parser: as rules of one file.
func parses(t *testing.T, queries map[string]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("groups: [{name: queries, rules: [\n")
	i := 0
	for where, query := range queries {
		text, err := json.Marshal(query)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "{record: 'query:%d', labels: {at: %q}, expr: %s},\n", i, where, text)
		i++
	}
	b.WriteString("]}]\n")
	file := filepath.Join(t.TempDir(), "queries.yml")
	write(t, file, b.String())
	if out, err := exec.Command(promtoolPath(t), "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

// labelsAreClosed holds a scrape against the closed sets of the reference.
func (r reference) labelsAreClosed(t *testing.T, scraped string) {
	t.Helper()
	looked := 0
	for line := range strings.Lines(scraped) {
		m := queryMetric.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(line, m[1]) {
			continue
		}
		name, ok := r.family(m[1])
		if !ok {
			t.Errorf("%s is served, and docs/metrics.md does not have it", m[1])
			continue
		}
		for _, l := range queryMatcher.FindAllStringSubmatch(m[2], -1) {
			if set := r.values[name][l[1]]; set != nil {
				looked++
				if !slices.Contains(set, l[3]) {
					t.Errorf("%s{%s=%q} is served, and the reference says %v", m[1], l[1], l[3], set)
				}
			}
		}
	}
	if looked < 100 {
		t.Errorf("looked at %d labels: the test looks at the wrong place", looked)
	}
}
