package doctor_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/doctor"
)

var update = flag.Bool("update", false, "write docs/doctor.md")

const preamble = `# What the doctor looks for

<!-- Made by: go test ./internal/doctor -run Reference -update -->

%ssluice doctor FILE|DIR...%s reads what you deploy with, as it is applied: Kubernetes objects (render Helm and kustomize first:
%skubectl kustomize . | sluice doctor -%s), ECS task definitions, services and target groups (as the AWS command line takes and prints them), compose files, systemd
units with their drop-ins, Dockerfiles, Prometheus configurations, and configurations of Sluice. Files that belong together have to be given together. It runs nothing and asks nobody.

An **error** loses requests, kills a drain half-way or makes a probe lie; a **warning** does so in some rollouts, or leaves the operator blind; a **note** is worth
knowing. Exit codes: 0 no error, 1 an error (with %s--strict%s a warning too), 2 usage. %s--json%s prints what was read, the findings and the stop of each deployment;
%s--patch%s a unified diff of what changing single lines puts right, for %spatch -p0%s (%spatch -d / -p1%s where files are not
beneath the working directory). What stands in front, where no file says it: %s--balancer kube-proxy|alb|nlb|gcp%s.

What is in this repository's [deploy](../deploy) has no finding; each rule is tested with a fault seeded into it.

`

// TestReferenceIsCurrent: docs/doctor.md is made from the rules, so that it cannot lag.
func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/doctor.md"
	ticks := make([]any, strings.Count(preamble, "%s"))
	for i := range ticks {
		ticks[i] = "`"
	}
	var b strings.Builder
	fmt.Fprintf(&b, preamble, ticks...)
	b.WriteString("| rule | | |\n|---|---|---|\n")
	for _, r := range doctor.Rules() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.ID, r.ID, r.Severity, r.Title)
	}
	seen := map[string]bool{}
	for _, r := range doctor.Rules() {
		if seen[r.ID] || r.Title == "" || r.Why == "" {
			t.Errorf("%s is there twice, or says nothing", r.ID)
		}
		seen[r.ID] = true
		fmt.Fprintf(&b, "\n## %s\n\n%s: %s. %s\n", r.ID, strings.ToUpper(r.Severity.String()[:1])+r.Severity.String()[1:], r.Title, r.Why)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || b.String() != string(want) {
		t.Errorf("docs/doctor.md is out of date (%v): go test ./internal/doctor -run Reference -update", err)
	}
}
