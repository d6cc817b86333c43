package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Each alert has a page that says what to do, and what the page says can be run.

const (
	runbooks   = "../docs/runbooks"
	runbookURL = "https://github.com/sluiceproxy/sluice/blob/main/docs/runbooks/"
)

// alert is one of the rules.
type alert struct {
	name, wait, severity, url string // wait: its "for"; empty: at once
	expr                      string
}

var (
	alertPattern  = regexp.MustCompile(`(?m)^  - alert: (\w+)\n((?:    .*\n)+)`)
	recordPattern = regexp.MustCompile(`(?m)^  - record: (\S+)\n((?:    .*\n)+)`)
)

// exprOf is the expression of a rule's body, in one line.
func exprOf(body string) string {
	m := regexp.MustCompile(`(?m)^    expr: (?:\|\n((?:      .*\n)+)|(.*)\n)`).FindStringSubmatch(body)
	return strings.Join(strings.Fields(m[1]+m[2]), " ")
}

func alerts(t *testing.T) (list []alert) {
	t.Helper()
	one := func(body, pattern string) string {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(body); m != nil {
			return m[1]
		}
		return ""
	}
	for _, m := range alertPattern.FindAllStringSubmatch(read(t, rulesFile), -1) {
		list = append(list, alert{m[1], one(m[2], `(?m)^    for: (\S+)$`), one(m[2], `severity: (\w+)`), one(m[2], `runbook_url: (\S+)`), exprOf(m[2])})
	}
	if len(list) < 10 {
		t.Fatalf("found %d alerts: the test looks at the wrong place", len(list))
	}
	return list
}

// TestEachAlertIsTestedAndExplained: it fires in a unit test, and is silent in one at a later time; its page is where it says.
func TestEachAlertIsTestedAndExplained(t *testing.T) {
	t.Parallel()
	tests, index := read(t, "../deploy/prometheus/rules_test.yml"), read(t, runbooks+"/README.md")
	pages := map[string]bool{"README.md": true}
	for _, a := range alerts(t) {
		fires := regexp.MustCompile(`alertname: `+a.name+`\n +eval_time: (\S+)\n +exp_alerts: \[\{exp_labels`).FindAllStringSubmatch(tests, -1)
		if fires == nil {
			t.Errorf("no unit test in which %s fires", a.name)
			continue
		}
		ends := false
		for _, silent := range regexp.MustCompile(`\{alertname: `+a.name+`, eval_time: (\w+)\}`).FindAllStringSubmatch(tests, -1) {
			ends = ends || duration(t, silent[1]) > duration(t, fires[0][1])
		}
		if !ends {
			t.Errorf("no unit test in which %s ends", a.name)
		}
		if a.url != runbookURL+a.name+".md" {
			t.Errorf("%s leads to %q", a.name, a.url)
		}
		pages[a.name+".md"] = true
		explained(t, a)
		if row := fmt.Sprintf("| [%s](%s.md) | %s |", a.name, a.name, a.severity); !strings.Contains(index, row) {
			t.Errorf("docs/runbooks/README.md has no row %s", row)
		}
	}
	files, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !pages[f.Name()] {
			t.Errorf("docs/runbooks/%s is of no alert", f.Name())
		}
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// explained holds a page against its alert.
func explained(t *testing.T, a alert) {
	t.Helper()
	page := read(t, filepath.Join(runbooks, a.name+".md"))
	begin := fmt.Sprintf("# %s\n\n**%s**, at once: ", a.name, a.severity)
	if a.wait != "" {
		begin = fmt.Sprintf("# %s\n\n**%s**, after %s: ", a.name, a.severity, a.wait)
	}
	if !strings.HasPrefix(page, begin) {
		t.Errorf("the page of %s does not begin with %q", a.name, begin)
	}
	for _, title := range []string{"What it means", "What users feel", "First look", "Causes and remedies", "When it ends"} {
		if !strings.Contains(page, "\n## "+title+"\n\n") {
			t.Errorf("the page of %s does not say: %s", a.name, title)
		}
	}
	if n := len(pageCommands(page)); n < 3 {
		t.Errorf("the page of %s has %d commands to begin with", a.name, n)
	}
}

// pageCommands are the commands of the console blocks of a page.
func pageCommands(page string) (list []string) {
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				list = append(list, strings.TrimSpace(command))
			}
		}
	}
	return list
}

// TestRunbooksCanBeRun: commands of sluice exist with the flags that are named; queries parse, and ask for what there is.
func TestRunbooksCanBeRun(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(runbooks + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ref, queries, commands := readReference(t), map[string]string{}, map[string]bool{}
	for _, file := range files {
		for i, command := range pageCommands(read(t, file)) {
			where := fmt.Sprintf("%s, command %d", filepath.Base(file), i+1)
			if args, ok := strings.CutPrefix(command, "sluice "); ok {
				commands[args] = true
			}
			if m := regexp.MustCompile(`^promtool query instant "\$PROM" '([^']+)'$`).FindStringSubmatch(command); m != nil {
				queries[where] = m[1]
				ref.ask(t, where, m[1])
			} else if strings.HasPrefix(command, "promtool") {
				t.Errorf("%s: another form of query than the rest: %s", where, command)
			}
		}
	}
	for args := range commands {
		if out, code := command(t, append(strings.Fields(args), "--help")...); code != 0 {
			t.Errorf("sluice %s: exit %d: %s", args, code, out)
		}
	}
	if len(queries) < 20 || len(commands) < 8 {
		t.Errorf("found %d queries and %d commands: the test looks at the wrong place", len(queries), len(commands))
	}
	parses(t, queries)
}
