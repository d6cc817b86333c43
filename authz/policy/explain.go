package policy

import (
	"github.com/sluiceproxy/sluice/authz"
)

// Trace is how a decision came about: what each rule says, whether or not it was needed to
// decide. It is for people; a decision itself is made by [Program.Authorize].
type Trace struct {
	Decision authz.Decision
	Rules    []RuleTrace
	// Nearest is what has to be otherwise for an Allow, in the rule with the least of that. Nil:
	// it is allowed, or nothing was found that would help.
	Nearest *Nearest
}

// RuleTrace is what a rule says. An action without blocks has none.
type RuleTrace struct {
	Deny, Allow []Step
}

// Step is an expression and what it says.
type Step struct {
	Text    string // as in a policy: "and", "groups: {has: admins}"
	Outcome string // met, not met, unknown (it depends on who it is, and nobody says), error
	Seen    string // what the request has of it; empty for blocks and for what has no value
	Reason  string // code, of a test
	Steps   []Step // of a block
}

// Outcomes returns what the Outcome of a Step may be.
func Outcomes() []string { return append([]string(nil), outcomes[:]...) }

var outcomes = [...]string{no: "not met", yes: "met", unknown: "unknown", failed: "error"}

// Explain decides like the program of the rules, and tells all of the way there.
func Explain(r *Rules, id *authz.Identity, req *authz.Request) *Trace {
	p := CompileRules(r)
	t := &Trace{Decision: p.Authorize(id, req)}
	if r == nil {
		return t
	}
	e := explainer{p: p, q: query{id, req}}
	t.Rules = make([]RuleTrace, len(r.List))
	for i := range r.List {
		t.Rules[i].Deny = e.steps(r.List[i].Deny)
	}
	for i := range r.List {
		t.Rules[i].Allow = e.steps(r.List[i].Allow)
	}
	if t.Decision.Verdict != authz.Allow {
		t.Nearest = nearest(r, t, &e.q)
	}
	return t
}

// explainer walks rules in the order of the code of their program.
type explainer struct {
	p  *Program
	q  query
	at int // in p.code
}

func (e *explainer) steps(list []Expr) []Step {
	out := make([]Step, len(list))
	for i := range list {
		x, s := &list[i], &out[i]
		v, why := e.p.eval(e.at, &e.q)
		e.at++
		s.Outcome = outcomes[v]
		if x.Op == Leaf {
			s.Text, s.Seen, s.Reason = x.Test.String(), x.Test.seen(&e.q), reasons[why]
		} else {
			s.Text, s.Steps = x.Op.String(), e.steps(x.List)
		}
	}
	return out
}
