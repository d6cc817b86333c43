package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/casebook"
	"github.com/sluiceproxy/sluice/authz/policy"
)

// explanation is what becomes of a request, and why, as JSON has it.
type explanation struct {
	Verdict ruling          `json:"verdict"`
	Path    string          `json:"path,omitempty"` // in its one normal form, if it came to rules
	Rules   []ruleExplained `json:"rules,omitempty"`
	Nearest *nearestRule    `json:"nearest,omitempty"`
}

type ruleExplained struct {
	Deny  []stepExplained `json:"deny,omitempty"`
	Allow []stepExplained `json:"allow,omitempty"`
}

type stepExplained struct {
	Text    string          `json:"text"`
	Outcome string          `json:"outcome"`
	Seen    string          `json:"seen,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Steps   []stepExplained `json:"steps,omitempty"`
}

type nearestRule struct {
	Rule    int      `json:"rule"`
	Changes []string `json:"changes"`
}

func newPolicyExplain() *cobra.Command {
	var paths []string
	var asJSON bool
	request := &casebook.Case{}
	c := &cobra.Command{
		Use:   "explain --policy DIR|FILE...",
		Short: "Say what a policy decides of one request, and why",
		Long: `Describe a request by flags, and see which route it comes to, what each criterion of each rule says
of it, which decided, and which rule would allow it with the least difference.
Nothing is started.`,
		Example: `  sluice policy explain --policy policy/ --host app.example.com --path /admin --user u-1 --groups eng,ops
  sluice policy explain --policy policy/ --listener db --source-ip 10.1.2.3`,
		Args: cobra.NoArgs,
	}
	finish := bindCase(c, request)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := finish(); err != nil {
			return fail(exitUsage, err)
		}
		j, err := newJudge(paths)
		if err != nil {
			return fail(exitUsage, err)
		}
		v, a := j.of(request, time.Now())
		t := j.trace(request, &a)
		if asJSON {
			e := explainDecision(v, t)
			if a.Request != nil {
				e.Path = string(a.Request.Path)
			}
			err = printJSON(cmd.OutOrStdout(), e)
		} else {
			err = printExplanation(cmd.OutOrStdout(), v, t)
		}
		if err == nil && v.Outcome != casebook.Allow {
			return fail(exitFailed, nil)
		}
		return err
	}
	c.Flags().StringSliceVar(&paths, "policy", nil, "directory or files of the policy")
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	if err := c.MarkFlagRequired("policy"); err != nil {
		panic("BUG: " + err.Error())
	}
	return teach(c, exits{exitOK: "it would be forwarded", exitFailed: "it would not", exitUsage: "a fault"}, "why", "policy test", "docs/policy.md")
}

func explainDecision(v ruling, t *policy.Trace) *explanation {
	e := &explanation{Verdict: v}
	if t == nil {
		return e
	}
	for _, r := range t.Rules {
		e.Rules = append(e.Rules, ruleExplained{Deny: explainSteps(r.Deny), Allow: explainSteps(r.Allow)})
	}
	if t.Nearest != nil {
		e.Nearest = &nearestRule{t.Nearest.Rule, t.Nearest.Changes}
	}
	return e
}

func explainSteps(steps []policy.Step) (out []stepExplained) {
	for i := range steps {
		s := &steps[i]
		out = append(out, stepExplained{s.Text, s.Outcome, s.Seen, s.Reason, explainSteps(s.Steps)})
	}
	return out
}

func printExplanation(out io.Writer, v ruling, t *policy.Trace) error {
	var b strings.Builder
	fmt.Fprintln(&b, v)
	if t != nil {
		if len(t.Rules) == 0 {
			fmt.Fprintln(&b, "  the route has no rules, so that it refuses everybody")
		}
		if err := printTrace(&b, t); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, visible(b.String()))
	return err
}

// visible writes out what would not show, or would move a terminal: names come from tokens, certificates and
// requests, and from whoever made them.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}
