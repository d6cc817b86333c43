package policy

import "github.com/sluiceproxy/sluice/authz"

// value is what an expression says of a request.
type value uint8

const (
	no      value = iota
	yes           // met
	unknown       // it depends on who it is, and nobody says
	failed        // it could not be evaluated
)

// query is one request to decide.
type query struct {
	id  *authz.Identity
	req *authz.Request
}

// Authorize decides. Deny wins, an error refuses, and where only the lack of an
// identity stands between the request and access it says Challenge.
func (p *Program) Authorize(id *authz.Identity, req *authz.Request) authz.Decision {
	if p.shape == nil {
		return decision(authz.Deny, rNoPolicy, -1)
	}
	q := query{id, req}
	deny, why, denyRule := p.any(0, p.allow, &q)
	switch deny {
	case yes, failed:
		return decision(authz.Deny, why, denyRule)
	case no, unknown:
	}
	allow, why, rule := p.any(p.allow, len(p.code), &q)
	switch {
	case allow == yes && deny == unknown:
		return decision(authz.Challenge, rUnauthenticated, denyRule)
	case allow == yes:
		return decision(authz.Allow, rOK, rule)
	case allow == unknown:
		return decision(authz.Challenge, rUnauthenticated, rule)
	case allow == failed:
		return decision(authz.Deny, rError, rule)
	}
	return decision(authz.Deny, why, -1)
}

func decision(v authz.Verdict, r reason, rule int) authz.Decision {
	return authz.Decision{Verdict: v, Reason: reasons[r], Rule: rule}
}

// any evaluates the blocks in code[from:to] of an action. rule is that of the block
// which decided.
func (p *Program) any(from, to int, q *query) (out value, why reason, rule int) {
	why, rule = rNoRule, -1
	for i, first := from, true; i < to; i, first = int(p.code[i].end), false {
		v, r := p.eval(i, q)
		if v == yes {
			return yes, r, int(p.code[i].rule)
		}
		if v > out {
			out, why, rule = v, r, int(p.code[i].rule)
		} else if out == no && first {
			why = r
		} else if out == no && r != why {
			why = rNoRule
		}
	}
	return out, why, rule
}

// eval evaluates code[i]. The reason belongs to what made it so.
func (p *Program) eval(i int, q *query) (value, reason) {
	in := &p.code[i]
	switch in.op {
	case And:
		return p.all(i, q, false)
	case Or:
		return p.some(i, q, false)
	case Not: // all are false
		return p.all(i, q, true)
	case Nor: // any is false
		return p.some(i, q, true)
	case Leaf:
		v, r := arg{&p.tests[in.test], p.pool, p.pool.word(p.args, in.test)}.eval(q)
		if v == failed {
			r = rError
		}
		return v, r
	}
	return failed, rError
}

// all is yes if every expression in the list of code[i] is. A single no settles it,
// else a failure, else an unknown.
func (p *Program) all(i int, q *query, invert bool) (out value, why reason) {
	out, why = yes, rOK
	end := int(p.code[i].end)
	for j := i + 1; j < end; j = int(p.code[j].end) {
		v, r := p.eval(j, q)
		v = v.inverted(invert)
		switch {
		case v == no:
			return no, r
		case v > out: // failed > unknown > yes
			out, why = v, r
		case why == rOK:
			why = r
		}
	}
	return out, why
}

// some is yes if any expression in the list of code[i] is; else failed, unknown or no.
func (p *Program) some(i int, q *query, invert bool) (out value, why reason) {
	end := int(p.code[i].end)
	for j := i + 1; j < end; j = int(p.code[j].end) {
		v, r := p.eval(j, q)
		v = v.inverted(invert)
		switch {
		case v == yes:
			return yes, r
		case v > out: // failed > unknown > no
			out, why = v, r
		case out == no && j == i+1:
			why = r
		case out == no && r != why:
			why = rNoRule
		}
	}
	return out, why
}

// inverted negates yes and no. What is not known stays so: a rule for "everyone but
// u-1" must not let in who shows no credential.
func (v value) inverted(invert bool) value {
	if invert && v <= yes {
		return yes - v
	}
	return v
}
