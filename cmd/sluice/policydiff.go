package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/casebook"
)

// changedCase is a case of which two policies say different things.
type changedCase struct {
	Name   string `json:"name"`
	Place  string `json:"place"`
	Before ruling `json:"before"`
	After  ruling `json:"after"`
}

// diffReport is what a change of policy changes.
type diffReport struct {
	Cases   int           `json:"cases"`
	Changed []changedCase `json:"changed"`
}

func newPolicyDiff() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff OLD NEW CASES...",
		Short: "Show which decisions a change of policy changes",
		Long: `Ask two policies about the same cases, and show those of which they say different things: another
outcome, status, reason, or route. What the cases expect is not looked at.`,
		Example: `  git worktree add /tmp/before main && sluice policy diff /tmp/before/policy policy tests/*.yaml`,
		Args:    cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			books, _, err := readBooks(args[2:], args[:1])
			if err != nil {
				return fail(exitUsage, err)
			}
			before, err := newJudge(args[:1])
			if err != nil {
				return fail(exitUsage, err)
			}
			after, err := newJudge(args[1:2])
			if err != nil {
				return fail(exitUsage, err)
			}
			r := diff(before, after, books, time.Now())
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.print(cmd.OutOrStdout())
			}
			if err == nil && len(r.Changed) > 0 {
				return fail(exitFailed, nil)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return teach(c, exits{exitOK: "no decision changes", exitFailed: "some do", exitUsage: "a file cannot be read"}, "policy test", "docs/policy.md")
}

func diff(before, after *judge, books []*casebook.Book, now time.Time) *diffReport {
	r := &diffReport{Changed: []changedCase{}}
	for _, b := range books {
		for i := range b.Cases {
			c := &b.Cases[i]
			r.Cases++
			was, _ := before.of(c, now)
			is, _ := after.of(c, now)
			if was.Outcome != is.Outcome || was.Status != is.Status || was.Reason != is.Reason || was.Route != is.Route {
				r.Changed = append(r.Changed, changedCase{c.Name, c.Place, was, is})
			}
		}
	}
	return r
}

func (r *diffReport) print(out io.Writer) error {
	var b strings.Builder
	for _, c := range r.Changed {
		fmt.Fprintf(&b, "%s: %s\n  - %s\n  + %s\n", c.Place, c.Name, c.Before, c.After)
	}
	fmt.Fprintf(&b, "%d of %d decisions change\n", len(r.Changed), r.Cases)
	_, err := io.WriteString(out, b.String())
	return err
}
