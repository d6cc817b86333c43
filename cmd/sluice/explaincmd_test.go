package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz/assertion"
	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/docs"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/doctor"
	"github.com/sluiceproxy/sluice/internal/yaml"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// words are all that the code may say was wrong: the closed sets of everybody who has one.
func words() (all []string) {
	for _, c := range yaml.Codes() {
		all = append(all, string(c))
	}
	all = append(all, proxy.Reasons()...)
	all = append(all, h1.Reasons()...)
	for _, r := range h2.Reasons() {
		all = append(all, string(r))
	}
	all = append(all, policy.Reasons()...)
	for _, r := range policysync.Reasons() {
		all = append(all, string(r))
	}
	all = append(all, assertion.Reasons()...)
	all = append(all, oidc.Reasons()...)
	for _, c := range []drain.Cause{drain.CauseDeadline, drain.CauseRoute, drain.CauseOperator, drain.CausePeerGone, drain.CausePeerStuck} {
		all = append(all, c.String())
	}
	for _, t := range troubles() {
		all = append(all, string(t))
	}
	for _, code := range []int{exitOK, exitFailed, exitUsage, exitCut, exitConflict} {
		all = append(all, fmt.Sprintf("exit-%d", code))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Every word has its section with a meaning, a cause and a remedy, and there is no section more.
func TestEveryWordIsExplained(t *testing.T) {
	all := words()
	if len(all) < 130 {
		t.Fatalf("%d words: the test looks at the wrong places", len(all))
	}
	section := regexp.MustCompile(`(?s)^\S.*\n\n- Cause: \S.*\n- Remedy: \S.*\.$`)
	for _, word := range all {
		n := 0
		for _, e := range explain(word) {
			if e.Page == "docs/errors.md" {
				n++
				if !section.MatchString(e.Text) {
					t.Errorf("%s: not meaning, cause and remedy:\n%s", word, e.Text)
				}
			}
		}
		if n != 1 || strings.Count(docs.Errors, "\n### "+word+"\n") != 1 {
			t.Errorf("%s has %d sections in docs/errors.md, want 1", word, n)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(docs.Errors, -1) {
		if !slices.Contains(all, m[1]) {
			t.Errorf("docs/errors.md explains %q, which nothing says", m[1])
		}
	}
}

// The section of a malformed message begins with the status that it is answered with.
func TestStatusOfMalformedMessages(t *testing.T) {
	for _, e := range h1.Errors() {
		found := explain(e.Reason)
		if len(found) == 0 || !regexp.MustCompile(fmt.Sprintf(`\b%d\b`, e.Status)).MatchString(strings.SplitN(found[0].Text, "\n", 2)[0]) {
			t.Errorf("%s: answered with %d, and it says %v", e.Reason, e.Status, found)
		}
	}
}

// Every rule of the doctor and every key can be explained, too.
func TestRulesAndKeysAreExplained(t *testing.T) {
	for _, r := range doctor.Rules() {
		if len(explain(r.ID)) == 0 {
			t.Errorf("nothing is said of the rule %s", r.ID)
		}
	}
	rules, err := os.ReadFile("../../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^ *- alert: (\S+)$`).FindAllStringSubmatch(string(rules), -1)
	if len(named) < 10 {
		t.Fatalf("%d alerts", len(named))
	}
	for _, m := range named {
		if len(explain(m[1])) != 1 {
			t.Errorf("nothing is said of the alert %s", m[1])
		}
	}
	if n := len(keys()); n < 80 {
		t.Fatalf("%d keys", n)
	}
	for _, key := range keys() {
		if len(explain(key)) == 0 {
			t.Errorf("nothing is said of the key %s", key)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"exit", "3"}, 0, "exit-3 (docs/errors.md)"},
		{[]string{"3"}, 0, "SuccessExitStatus=3"},
		{[]string{"connect_failed"}, 0, "502."},
		{[]string{"stop-limit"}, 0, "(docs/doctor.md)"},
		{[]string{"unreadable"}, 0, "(docs/doctor.md)"},
		{[]string{"drain.timeout"}, 0, "SLUICE_DRAIN_TIMEOUT"},
		{[]string{"listeners[].http2"}, 0, "on, off, only"},
		{[]string{"conect_failed"}, 1, `did you mean "connect_failed"?`},
		{[]string{"a", "b"}, 2, "one word"},
	} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append([]string{"explain"}, tt.args...))
		code := exitOK
		if err := root.Execute(); err != nil {
			code = exitUsage
			if e, ok := err.(*exitError); ok {
				code = e.code
			}
			out.WriteString(err.Error())
		}
		if code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("explain %v: exit %d, want %d with %q:\n%s", tt.args, code, tt.code, tt.want, out.String())
		}
	}
}
