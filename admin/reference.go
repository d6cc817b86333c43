package admin

import (
	"fmt"
	"slices"
	"strings"
)

// section is a part of docs/metrics.md. Each family stands in one of them.
type section struct {
	title, intro string
	notes        []note
}

// note is what the reference says of a family beside its contract.
type note struct {
	f    id
	unit string // of the value
	when string // why somebody would look at it: a sentence's end
}

// document renders docs/metrics.md. reasons are those of decisions.
func document(reasons []string) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" +
		"Served as `/metrics` by the probes listener until the process ends. Names, types and labels are a stable contract;\n" +
		"this page is generated from the code (`go test ./admin -run Golden -update`). The metrics of the Go runtime (`go_*`)\n" +
		"and of the process (`process_*`) are there as well.\n\n" +
		fmt.Sprintf("No label ever carries a host, path, user or address. Routes and clusters carry their names from the policy; beyond\n"+
			"%d of them the rest is `_other`. Requests that matched no route are `_none`. Series whose labels are known at the start are there from\n"+
			"the first scrape on, with 0. What each label may be is [below](#labels).\n\n", maxNames) +
		"Rules and alerts on these metrics: [deploy/prometheus](../deploy/prometheus/rules.yml), a page for each alert: [runbooks](runbooks/README.md),\n" +
		"a dashboard: [deploy/grafana](../deploy/grafana/sluice.json).\n")
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| name | type | unit | labels | meaning | look at it |\n|---|---|---|---|---|---|\n", s.title, s.intro)
		for _, n := range s.notes {
			f := families[n.f]
			labels := "-"
			if len(f.labels) > 0 {
				labels = "`" + strings.Join(f.labels, "` `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %v | %s | %s | %s | %s |\n", f.name, f.kind, n.unit, labels, f.help, n.when)
		}
	}
	b.WriteString("\n## Labels\n\nA value that is not in its row does not occur.\n\n| label | of | values |\n|---|---|---|\n")
	for _, row := range labelRows(Sources{Reasons: reasons}) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", row.label, row.of, row.values)
	}
	return b.String()
}

// labelRow says what a label may be in those metrics where it may be the same.
type labelRow struct{ label, of, values string }

func labelRows(s Sources) (rows []labelRow) {
	of := map[labelRow][]string{} // without of
	labels := map[string]int{}    // how many rows
	for f, fam := range families {
		for _, label := range fam.labels {
			d, _ := s.domainOf(id(f), label)
			row := labelRow{label: label, values: d.String()}
			if of[row] == nil {
				labels[label]++
			}
			of[row] = append(of[row], "`"+fam.name+"`")
		}
	}
	for row, names := range of {
		if row.of = "wherever it is"; labels[row.label] > 1 {
			row.of = strings.Join(names, " ")
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b labelRow) int { return strings.Compare(a.label+a.of, b.label+b.of) })
	return rows
}

// String is the domain for people.
func (d domain) String() string {
	var parts []string
	if len(d.values) > 0 {
		parts = append(parts, "`"+strings.Join(d.values, "` `")+"`")
	}
	if d.also != "" {
		parts = append(parts, d.also)
	}
	return strings.Join(parts, "; ")
}
