package policy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy/celexpr"
)

func TestCEL(t *testing.T) {
	for _, c := range []struct {
		policy string
		id     *authz.Identity
		want   authz.Verdict
		reason string
	}{
		{`{allow: {and: [{cel: 'user == "u-1"'}]}}`, alice, authz.Allow, ReasonOK},
		{`{allow: {and: [{cel: 'user == "u-2"'}]}}`, alice, authz.Deny, ReasonCEL},
		{`{allow: {and: [{cel: 'user == "u-1"'}]}}`, nil, authz.Challenge, ReasonUnauthenticated},
		{`{allow: {none_of: [{cel: '"hr" in groups'}]}}`, nil, authz.Challenge, ReasonUnauthenticated},
		{`{allow: {and: [{cel: 'path.startsWith("/app/")'}]}}`, nil, authz.Allow, ReasonOK},
		{`{allow: {and: [{cel: '"x" in claims["none"]'}]}}`, alice, authz.Deny, ReasonError},
		{`{allow: {and: [{accept: true}]}, deny: {or: [{cel: '"x" in claims["none"]'}]}}`, alice, authz.Deny, ReasonError}, // a deny that cannot be evaluated denies
		{`{allow: {and: [{accept: true}]}, deny: {none_of: [{cel: '"x" in claims["none"]'}]}}`, alice, authz.Deny, ReasonError},
		{`{allow: {and: [{accept: true}]}, deny: {or: [{cel: 'method == "GET"'}]}}`, alice, authz.Deny, ReasonCEL},
	} {
		if d := CompileRules(rules(t, c.policy)).Authorize(c.id, request()); d.Verdict != c.want || d.Reason != c.reason {
			t.Errorf("%s: %v %s, want %v %s", c.policy, d.Verdict, d.Reason, c.want, c.reason)
		}
	}
	got := CompileRules(rules(t, `{allow: {and: [{cel: '"a" in groups && method == "GET" && now > timestamp("2026-01-01T00:00:00Z")'}]}}`)).Facts()
	if want := (Facts{Identity: true, Groups: true, Method: true, Time: true}); got != want {
		t.Errorf("facts %+v", got)
	}
}

func TestFaultsOfCEL(t *testing.T) {
	free := "clusters: {c: {endpoints: ['a:1']}}\n"
	for src, want := range map[string]string{
		route(`[{deny: {or: [{cel: 'usr == "a"'}]}}]`):                                                       "cel, line 1, character 1: undeclared reference to 'usr'",
		route(`[{deny: {or: [{cel: 'user'}]}}]`):                                                             "has to give bool",
		route(`[{deny: {or: [{cel: ''}]}}]`):                                                                 "an empty expression",
		route(`[{deny: {or: [{cel: true}]}}]`):                                                               "boolean true where a string is expected",
		route(`[{deny: {or: [{cel: {is: x}}]}}]`):                                                            "a mapping where a string is expected",
		free + `routes: [{name: r, cluster: c, policy: {allow: {and: [{cel: 'user == "a"'}]}}}]`:             "the policy asks for cel, but authenticate names no way",
		free + `tcp_routes: [{listener: l, cluster: c, policy: {allow: {and: [{cel: 'method == "GET"'}]}}}]`: "cel cannot be asked of a TCP connection",
	} {
		if _, err := Parse("p.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
	if _, err := Parse("p.yaml", []byte(free+`routes: [{name: r, cluster: c, policy: {allow: {and: [{cel: 'method == "GET"'}]}}}]`)); err != nil {
		t.Errorf("an expression about the request alone: %v", err)
	}
}

// What many routes have in common is compiled once.
func TestEqualExpressionsAreCompiledOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("clusters: {c: {endpoints: ['a:1']}}\nroutes:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "- {name: r%d, path: {prefix: /%d}, cluster: c, policy: {allow: {and: [{http_path: {starts_with: /%d}}, {cel: 'method == \"M%d\"'}]}}}\n", i, i, i, i%3)
	}
	doc, err := Parse("p.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[*celexpr.Expr]bool{}
	for i := range doc.Routes {
		distinct[doc.Routes[i].Policy.List[0].Allow[0].List[1].Test.CEL.expr] = true
	}
	if n := len(Compile(doc).Routes[0].pool.exprs); len(distinct) != 3 || n != 3 {
		t.Errorf("%d compiled, %d in the pool, want 3", len(distinct), n)
	}
}

var pairs = flag.Int("pairs", 1000, "policies and requests that CEL is asked about, too")

// The whole of a policy, written as one expression of CEL, decides as its program does.
func TestTheTreeAgreesWithCEL(t *testing.T) {
	verdicts := map[authz.Verdict]int{}
	for seed := uint64(0); verdicts[authz.Allow]+verdicts[authz.Deny] < *pairs; seed++ {
		d := dice{rand.New(rand.NewPCG(seed, 3))}
		r := d.rules()
		deny, allow, ok := toCEL(r)
		if !ok {
			continue
		}
		p := CompileRules(r)
		for range 8 {
			id, req := d.query()
			if id == nil {
				continue // CEL has no word for what nobody says
			}
			want := authz.Deny
			denied, err := deny.Eval(id, req)
			if err == nil && !denied {
				if met, err := allow.Eval(id, req); err == nil && met {
					want = authz.Allow
				}
			}
			if got := p.Authorize(id, req).Verdict; got != want {
				t.Fatalf("seed %d: %v, CEL says %v\nrules %+v\nidentity %+v\nrequest %+v", seed, got, want, r, id, req)
			}
			verdicts[want]++
		}
	}
	if min(verdicts[authz.Allow], verdicts[authz.Deny]) < *pairs/20 {
		t.Errorf("%v", verdicts)
	}
	t.Logf("%v", verdicts)
}

func toCEL(r *Rules) (deny, allow *celexpr.Expr, ok bool) {
	denies, allows := []string{"false"}, []string{"false"}
	for _, rule := range r.List {
		for i := range rule.Deny {
			denies = append(denies, celText(&rule.Deny[i]))
		}
		for i := range rule.Allow {
			allows = append(allows, celText(&rule.Allow[i]))
		}
	}
	d, a := strings.Join(denies, " || "), strings.Join(allows, " || ")
	if strings.Contains(d+a, "unsaid") || max(len(d), len(a)) > celexpr.MaxSize {
		return nil, nil, false
	}
	deny, faults := celexpr.Compile(d)
	allow, more := celexpr.Compile(a)
	if len(faults)+len(more) > 0 {
		if strings.Contains(fmt.Sprint(faults, more), "recursion") {
			return nil, nil, false
		}
		panic(fmt.Sprint(d, a, faults, more))
	}
	return deny, allow, true
}

func celText(e *Expr) string {
	if e.Op == Leaf {
		return celTest(&e.Test)
	}
	parts, glue, negate := make([]string, len(e.List)), " && ", ""
	if e.Op == Or || e.Op == Nor {
		glue = " || "
	}
	if e.Op == Not || e.Op == Nor {
		negate = "!"
	}
	for i := range e.List {
		parts[i] = negate + "(" + celText(&e.List[i]) + ")"
	}
	return strings.Join(parts, glue)
}

func celTest(t *Test) string {
	q := strconv.Quote
	list := func(values []string) string {
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = q(v)
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	values := t.Values
	subject := map[Criterion]string{Email: "email", Domain: "domain", User: "user", HTTPMethod: "method", HTTPPath: "path"}[t.Criterion]
	switch t.Criterion {
	case Accept, AuthenticatedUser:
		return "true"
	case Reject:
		return "false"
	case Email, Domain:
		values = strings.Split(strings.ToLower(strings.Join(values, "\x00")), "\x00")
	case SourceIP:
		return fmt.Sprintf("cidr(%q).containsIP(source_ip)", t.Nets[0])
	case Groups:
		subject = "groups"
	case Claim:
		subject = fmt.Sprintf("(%[1]q in claims ? claims[%[1]q] : [])", t.Claim)
	case Date:
		return fmt.Sprintf("now >= timestamp(%d) && now < timestamp(%d)", t.Window.From, t.Window.Before)
	default: // zones by offset have no name in CEL, certificates no variable
		return "unsaid"
	}
	switch t.Matcher {
	case Is:
		return subject + " == " + q(values[0])
	case IsNot:
		return subject + " != " + q(values[0])
	case In:
		return subject + " in " + list(values)
	case NotIn:
		return "!(" + subject + " in " + list(values) + ")"
	case Contains:
		return subject + ".contains(" + q(values[0]) + ")"
	case StartsWith:
		return subject + ".startsWith(" + q(values[0]) + ")"
	case EndsWith:
		return subject + ".endsWith(" + q(values[0]) + ")"
	case Has:
		return q(values[0]) + " in " + subject
	case Exclude:
		return "!(" + q(values[0]) + " in " + subject + ")"
	case ListIs:
		return subject + " == [" + q(values[0]) + "]"
	}
	return "unsaid"
}

// Rules of one shape share it, and not what their expressions look at.
func TestFactsOfExpressionsAreTheirOwn(t *testing.T) {
	texts := []string{`method == "GET"`, `user == "u"`, `query == ""`, `path == "/"`}
	d := &Document{}
	for _, text := range texts {
		e, faults := celexpr.Compile(text)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		leaf := Expr{Op: Leaf, Test: Test{Criterion: CEL, CEL: &CELExpr{Text: text, expr: e}}}
		d.Routes = append(d.Routes, Route{Policy: &Rules{List: []Rule{{Allow: []Expr{{Op: And, List: []Expr{leaf}}}}}}})
	}
	for i, want := range []Facts{{Method: true}, {Identity: true}, {Query: true}, {Path: true}} {
		if got := Compile(d).Routes[i].Facts(); got != want {
			t.Errorf("%s: %+v, want %+v", texts[i], got, want)
		}
	}
}
