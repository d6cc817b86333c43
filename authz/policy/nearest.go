package policy

import (
	"slices"

	"github.com/sluiceproxy/sluice/authz"
)

// Nearest says what would have to change for an Allow.
type Nearest struct {
	Rule    int      // whose allow would be met
	Changes []string // "groups: {has: admins} must be met"
}

// nearest finds the rule with the fewest tests that stand between the request and an Allow.
func nearest(r *Rules, t *Trace, q *query) *Nearest {
	var denies []string
	for i := range r.List {
		for j := range t.Rules[i].Deny {
			changes, ok := change(&r.List[i].Deny[j], &t.Rules[i].Deny[j], false)
			if !ok {
				return nil
			}
			denies = append(denies, changes...)
		}
	}
	var found []Nearest
	for i := range r.List {
		for j := range t.Rules[i].Allow {
			if changes, ok := change(&r.List[i].Allow[j], &t.Rules[i].Allow[j], true); ok {
				found = append(found, Nearest{Rule: i, Changes: unique(slices.Concat(changes, denies))})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Nearest) int { return len(a.Changes) - len(b.Changes) })
	for i := range found {
		if r.with(found[i].Changes).Authorize(q.id, q.req).Verdict == authz.Allow {
			return &found[i]
		}
	}
	return nil
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

const (
	mustBe    = " must be met"
	mustNotBe = " must not be met"
)

// with compiles the rules as if the tests in changes were already otherwise: wherever they stand, one
// of which a rule asks for both among them.
func (r *Rules) with(changes []string) *Program {
	var all func([]Expr) []Expr
	all = func(list []Expr) []Expr {
		out := slices.Clone(list)
		for i := range out {
			e := &out[i]
			if e.Op != Leaf {
				e.List = all(e.List)
				continue
			}
			switch text := e.Test.String(); {
			case slices.Contains(changes, text+mustNotBe):
				e.Test = Test{Criterion: Reject}
			case slices.Contains(changes, text+mustBe):
				e.Test = Test{Criterion: Accept}
			}
		}
		return out
	}
	c := &Rules{List: make([]Rule, len(r.List))}
	for i := range r.List {
		c.List[i] = Rule{Allow: all(r.List[i].Allow), Deny: all(r.List[i].Deny)}
	}
	return CompileRules(c)
}

// change returns the least that has to be otherwise for an expression to be met, or not to be; !ok: nothing helps.
func change(e *Expr, s *Step, met bool) (changes []string, ok bool) {
	if s.Outcome == outcomes[yes] && met || s.Outcome == outcomes[no] && !met {
		return nil, true
	}
	all, inner := met, met // whether each of the list has to be so, and how
	switch e.Op {
	case Leaf:
		if e.Test.Criterion == Accept || e.Test.Criterion == Reject {
			return nil, false
		}
		if met {
			return []string{s.Text + mustBe}, true
		}
		return []string{s.Text + mustNotBe}, true
	case And:
	case Or:
		all = !met
	case Not:
		inner = !met
	case Nor:
		all, inner = !met, !met
	}
	for i := range e.List {
		c, fits := change(&e.List[i], &s.Steps[i], inner)
		switch {
		case all && !fits:
			return nil, false
		case all:
			changes, ok = append(changes, c...), true
		case fits && (!ok || len(c) < len(changes)):
			changes, ok = c, true
		}
	}
	return changes, ok
}
