package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const dashboardFile = "../deploy/grafana/sluice.json"

// dashboard is what the tests read of Grafana's.
type dashboard struct {
	UID    string
	Panels []struct {
		ID                       int
		Type, Title, Description string
		Datasource               *source
		GridPos                  struct{ H, W, X, Y int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct {
			Datasource   *source
			Expr, Format string
			LegendFormat string
			Instant      bool
		}
	}
	Templating struct {
		List []struct {
			Name, Type string
		}
	}
	Annotations struct {
		List []struct {
			Name, Expr string
			Datasource *source
		}
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 30 {
		t.Fatalf("found %d panels: the test looks at the wrong place", len(d.Panels))
	}
	return d
}

// queries are those of the panels and annotations by where they stand, with Grafana's variables filled in.
func (d dashboard) queries(rateInterval, window string) map[string]string {
	fill := strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", rateInterval, "$__range", window)
	all := map[string]string{}
	for _, p := range d.Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %q, query %c", p.Title, 'A'+i)] = fill.Replace(target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all["annotation "+a.Name] = fill.Replace(a.Expr)
	}
	return all
}

// TestDashboardAsksForWhatIsThere: every query parses, and names metrics, labels and values of the reference.
func TestDashboardAsksForWhatIsThere(t *testing.T) {
	t.Parallel()
	d, ref := readDashboard(t), readReference(t)
	queries := d.queries("5m", "1h")
	for where, query := range queries {
		ref.ask(t, where, query)
		if strings.Contains(query, "$__") || strings.Contains(query, "$job") {
			t.Errorf("%s: a variable that nobody fills in: %s", where, query)
		}
	}
	parses(t, queries)
}

// TestDashboardIsOne: what Grafana takes without a word, and the people in front of it do not.
func TestDashboardIsOne(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	const theirs = "${datasource}"
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the ID %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%q is outside the grid", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || len(p.Description) < 20 || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%q lacks a description, a unit or a query", p.Title)
		}
		if p.Datasource == nil || p.Datasource.UID != theirs {
			t.Errorf("%q does not ask the source that was chosen", p.Title)
		}
		for i, target := range p.Targets {
			if target.Datasource == nil || target.Datasource.UID != theirs {
				t.Errorf("%q, query %c does not ask the source that was chosen", p.Title, 'A'+i)
			}
			// A table shows labels as columns, a stat one number.
			if target.LegendFormat == "" && target.Format != "table" && p.Type != "stat" {
				t.Errorf("%q, query %c has no legend", p.Title, 'A'+i)
			}
			if n := strings.Count(target.Expr, `instance=~"$instance"`); n == 0 || n != strings.Count(target.Expr, `job=~"$job"`) {
				t.Errorf("%q, query %c does not ask for the instances that were chosen: %s", p.Title, 'A'+i, target.Expr)
			}
		}
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	for name, kind := range map[string]string{"datasource": "datasource", "job": "query", "instance": "query"} {
		if variables[name] != kind {
			t.Errorf("the variable %s is %q", name, variables[name])
		}
	}
	for _, a := range d.Annotations.List {
		if a.Datasource == nil || a.Datasource.UID != theirs {
			t.Errorf("annotation %s does not ask the source that was chosen", a.Name)
		}
	}
}
