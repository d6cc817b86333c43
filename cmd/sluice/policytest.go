package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/casebook"
)

// caseResult is one case of a test, as JSON has it.
type caseResult struct {
	Name    string           `json:"name"`
	Place   string           `json:"place"`
	Passed  bool             `json:"passed"`
	Want    casebook.Outcome `json:"want,omitempty"`
	Got     ruling           `json:"got"`
	Differs []string         `json:"differs,omitempty"` // what was wrong, in words
	Nearest []string         `json:"nearest,omitempty"` // what would have to change for an allow
}

// testReport is what a test found.
type testReport struct {
	Cases    []caseResult `json:"cases"`
	Failed   int          `json:"failed"`
	Untested []string     `json:"untested_routes"` // that no case came to
}

func newPolicyTest() *cobra.Command {
	var paths []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "test CASES...",
		Short: "Check a policy against tables of requests and expected decisions",
		Long: `Read files of cases, each a request with what should become of it, and ask the policy, in the way
that the proxy would. Nothing is started, and nobody is asked who it is: a case says it.
A case expects allow, deny (403), challenge (401) or refuse (no route, a bad path, ...), and may
name the reason, the route and the rule. docs/policy.md has the form of the files.`,
		Example: `  sluice policy test policy-tests.yaml
  sluice policy test --policy policy/ tests/*.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			books, paths, err := readBooks(args, paths)
			if err != nil {
				return fail(exitUsage, err)
			}
			j, err := newJudge(paths)
			if err != nil {
				return fail(exitUsage, err)
			}
			r, err := j.test(books, time.Now())
			if err != nil {
				return fail(exitUsage, err)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.print(cmd.OutOrStdout())
			}
			if err == nil && r.Failed > 0 {
				return fail(exitFailed, nil)
			}
			return err
		},
	}
	c.Flags().StringSliceVar(&paths, "policy", nil, "directory or files of the policy; else what the cases name")
	c.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	return teach(c, exits{exitOK: "all as expected", exitFailed: "some are not", exitUsage: "a file cannot be read"}, "policy explain", "policy diff", "docs/policy.md")
}

func (j *judge) test(books []*casebook.Book, now time.Time) (*testReport, error) {
	r, came := &testReport{Cases: []caseResult{}, Untested: []string{}}, map[string]bool{}
	for _, b := range books {
		for i := range b.Cases {
			c := &b.Cases[i]
			if c.Expect == casebook.Any {
				return nil, fmt.Errorf("%s: %q expects nothing", c.Place, c.Name)
			}
			v, a := j.of(c, now)
			out := caseResult{Name: c.Name, Place: c.Place, Want: c.Expect, Got: v, Differs: differences(c, v)}
			if out.Passed = len(out.Differs) == 0; !out.Passed {
				r.Failed++
				if t := j.trace(c, &a); t != nil && t.Nearest != nil && c.Expect == casebook.Allow {
					out.Nearest = t.Nearest.Changes
				}
			}
			came[v.Route] = true
			r.Cases = append(r.Cases, out)
		}
	}
	for _, name := range j.names {
		if !came[name] {
			r.Untested = append(r.Untested, name)
		}
	}
	return r, nil
}

func differences(c *casebook.Case, v ruling) (out []string) {
	if c.Expect != v.Outcome {
		out = append(out, fmt.Sprintf("expected %s, got %s", c.Expect, v))
	}
	if c.Reason != "" && c.Reason != v.Reason {
		out = append(out, fmt.Sprintf("expected reason %s, got %s", c.Reason, v.Reason))
	}
	if c.Route != "" && c.Route != v.Route {
		out = append(out, fmt.Sprintf("expected route %s, got %q", c.Route, v.Route))
	}
	if c.Rule != nil && (v.Rule == nil || *c.Rule != *v.Rule) {
		out = append(out, fmt.Sprintf("expected rule %d to decide, got %s", *c.Rule, v))
	}
	return out
}

// maxUntested is how many routes without a case are named.
const maxUntested = 8

func (r *testReport) print(out io.Writer) error {
	var b strings.Builder
	for _, c := range r.Cases {
		if c.Passed {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", c.Place, c.Name)
		for _, d := range c.Differs {
			fmt.Fprintf(&b, "  %s\n", d)
		}
		for _, n := range c.Nearest {
			fmt.Fprintf(&b, "  to be allowed: %s\n", n)
		}
	}
	fmt.Fprintf(&b, "%d of %d cases as expected\n", len(r.Cases)-r.Failed, len(r.Cases))
	if n := len(r.Untested); n > 0 {
		more := ""
		if n > maxUntested {
			more = fmt.Sprintf(" and %d more", n-maxUntested)
		}
		fmt.Fprintf(&b, "no case came to: %s%s\n", strings.Join(r.Untested[:min(n, maxUntested)], ", "), more)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
