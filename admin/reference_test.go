package admin

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// TestReferenceHasEachMetricOnce: with a unit and a reason to look at it, in exactly one section.
func TestReferenceHasEachMetricOnce(t *testing.T) {
	times := map[id]int{}
	for _, s := range sections() {
		if s.title == "" || s.intro == "" {
			t.Errorf("a section without title or introduction: %+v", s)
		}
		for _, n := range s.notes {
			times[n.f]++
			if n.unit == "" || n.when == "" {
				t.Errorf("%s has no unit, or nothing on when to look at it", families[n.f].name)
			}
			if strings.ContainsAny(n.unit+n.when, "|\n") {
				t.Errorf("%s: what would break the table", families[n.f].name)
			}
		}
	}
	for f := range families {
		if times[id(f)] != 1 {
			t.Errorf("%s is in %d sections", families[f].name, times[id(f)])
		}
	}
}

// TestUnitsAreThoseOfTheNames: Prometheus' convention, that a name ends in its unit, holds in the reference too.
func TestUnitsAreThoseOfTheNames(t *testing.T) {
	for _, s := range sections() {
		for _, n := range s.notes {
			name, want := families[n.f].name, ""
			switch {
			case strings.HasSuffix(name, "_timestamp_seconds"):
				want = "Unix time, s"
			case strings.HasSuffix(name, "_seconds"):
				want = "s"
			case strings.HasSuffix(name, "_bytes"):
				want = "bytes"
			case strings.HasSuffix(name, "_info"):
				want = "1"
			case n.unit == "s", n.unit == "Unix time, s", n.unit == "bytes":
				t.Errorf("%s is in %s, which its name does not say", name, n.unit)
			}
			if want != "" && n.unit != want {
				t.Errorf("%s is in %q, and its name says %q", name, n.unit, want)
			}
		}
	}
}

var (
	samplePattern = regexp.MustCompile(`^([a-z0-9_]+)\{([^}]*)\} `)
	pairPattern   = regexp.MustCompile(`([a-z0-9_]+)="([^"]*)"`)
)

// TestLabelsAreClosed: every label of every metric has a domain, and what is served stays in it, for whatever happens.
func TestLabelsAreClosed(t *testing.T) {
	s := busy()
	s.Reasons = policy.Reasons()
	byName := map[string]id{}
	for f, fam := range families {
		byName[fam.name] = id(f)
		for _, label := range fam.labels {
			if _, ok := s.domainOf(id(f), label); !ok {
				t.Errorf("%s{%s}: nobody said what it may be", fam.name, label)
			}
		}
	}
	samples, _ := scrape(t, NewMetrics(s))
	looked := 0
	for _, line := range samples {
		m := samplePattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f, known := byName[m[1]]
		if !known {
			f = byName[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(m[1], "_bucket"), "_count"), "_sum")]
		}
		for _, pair := range pairPattern.FindAllStringSubmatch(m[2], -1) {
			if pair[1] == "le" {
				continue
			}
			d, ok := s.domainOf(f, pair[1])
			if !ok || d.also == "" && !slices.Contains(d.values, pair[2]) {
				t.Errorf("%s=%q is not among %v: %s", pair[1], pair[2], d.values, line)
			}
			looked++
		}
	}
	if looked < 200 {
		t.Errorf("looked at %d labels: the test looks at the wrong place", looked)
	}
}
