package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/casebook"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
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
	Files   fileChanges   `json:"files"`
	Cases   int           `json:"cases"`
	Changed []changedCase `json:"changed"` // cases

	text string // the lines of the files that differ
}

func newPolicyDiff() *cobra.Command {
	f := &storeFlags{}
	c := &cobra.Command{
		Use:   "diff OLD NEW [CASES...]",
		Short: "Show which lines, or which decisions, a change of policy changes",
		Long: `Compare two policies. Each is a directory, a file, @N for version N of the store, or @head for its present one.
Without cases the lines are shown that differ. With cases both policies are asked about them, and those are shown of
which they say different things: another outcome, status, reason, or route. What the cases expect is not looked at.`,
		Example: `  sluice policy diff @41 @head -c sluice.yaml
  sluice policy diff @head ./policy --store dir:/srv/policy tests/*.yaml
  git worktree add /tmp/before main && sluice policy diff /tmp/before/policy policy tests/*.yaml`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.diff(cmd.Context(), args)
			if err != nil {
				return err
			}
			if f.asJSON {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.print(cmd.OutOrStdout(), len(args) > 2)
			}
			if err == nil && (len(r.Changed) > 0 || len(args) == 2 && !r.Files.none()) {
				return fail(exitFailed, nil)
			}
			return err
		},
	}
	f.bind(c.Flags(), "store")
	return teach(c, exits{exitOK: "no line differs; with cases: no decision changes", exitFailed: "some do", exitUsage: "usage, a store that does not work, or a file or version that cannot be read or believed"},
		"policy test", "policy history", "docs/policy.md")
}

// diff compares the two policies that args begin with, by their files and by the cases that follow.
func (f *storeFlags) diff(ctx context.Context, args []string) (*diffReport, error) {
	var files [2][]policy.File
	var err error
	for i, arg := range args[:2] {
		if version, of := strings.CutPrefix(arg, "@"); of {
			err = f.use(ctx, func(ctx context.Context, s *openedStore) error {
				if files[i], err = s.version(ctx, version); err != nil {
					err = fail(exitUsage, err) // 1 is for what differs
				}
				return err
			})
		} else if files[i], err = policyFiles([]string{arg}); err != nil {
			err = fail(exitUsage, err)
		}
		if err != nil {
			return nil, err
		}
	}
	r := &diffReport{Changed: []changedCase{}}
	was, is := byName(files[0]), byName(files[1])
	r.Files = compareFiles(was, is)
	for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
		lines := udiff.Unified(args[0]+"/"+name, args[1]+"/"+name, was[name], is[name])
		if lines == "" && !r.Files.same(name) {
			lines = fmt.Sprintf("--- %s/%s\n+++ %s/%s\n(one of them is not there, the other is empty)\n", args[0], name, args[1], name)
		}
		r.text += plain(lines)
	}
	if len(args) == 2 {
		return r, nil
	}
	books, _, err := readBooks(args[2:], args[:1])
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	var judges [2]*judge
	for i := range judges {
		doc, err := policy.ParseFiles(files[i])
		if err == nil {
			judges[i], err = newJudgeOf(doc)
		}
		if err != nil {
			return nil, fail(exitUsage, err)
		}
	}
	r.ask(judges[0], judges[1], books, time.Now())
	return r, nil
}

// version fetches the files of a version that was published: a number, or "head".
func (s *openedStore) version(ctx context.Context, which string) ([]policy.File, error) {
	source := policysync.FromStore(s.Store, s.trust)
	var h policysync.Head
	var err error
	if which == "head" {
		h, err = source.Head(ctx)
	} else {
		number, wrong := strconv.ParseUint(which, 10, 64)
		if wrong != nil {
			return nil, fmt.Errorf("@%s is no version: a number, or @head", which)
		}
		h, err = policysync.Past(ctx, s.Store, s.trust, number)
	}
	if err != nil {
		return nil, err
	}
	return policysync.Fetch(ctx, source, h)
}

// plain is text as a terminal may be shown it: what controls one is written out.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// byName is the text of files by the names that they have, or would have, in a store.
func byName(files []policy.File) map[string]string {
	m := map[string]string{}
	for _, f := range files {
		m[filepath.Base(f.Name)] = string(f.Src)
	}
	return m
}

func union(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

// ask notes the cases of which two policies say different things.
func (r *diffReport) ask(before, after *judge, books []*casebook.Book, now time.Time) {
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
}

func (r *diffReport) print(out io.Writer, asked bool) error {
	if !asked {
		_, err := io.WriteString(out, r.text)
		return err
	}
	var b strings.Builder
	for _, c := range r.Changed {
		fmt.Fprintf(&b, "%s: %s\n  - %s\n  + %s\n", c.Place, c.Name, c.Before, c.After)
	}
	fmt.Fprintf(&b, "%d of %d decisions change\n", len(r.Changed), r.Cases)
	_, err := io.WriteString(out, b.String())
	return err
}
