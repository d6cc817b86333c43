package policy

import (
	"github.com/sluiceproxy/sluice/authz/policy/celexpr"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// CELExpr is the expression of a CEL test. Equal ones of a document share what is compiled.
type CELExpr struct {
	Text string

	place yaml.Place
	expr  *celexpr.Expr // once the document is linked
}

func readCEL(test Test, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	if !r.Expect(n, yaml.String) {
		return Expr{}, false
	}
	if n.Text() == "" {
		r.FaultOf(yaml.Required, n, "an empty expression")
		return Expr{}, false
	}
	test.CEL = &CELExpr{Text: n.Text(), place: r.Place(n)}
	return Expr{Op: Leaf, Test: test}, true
}

// expressions compiles the CEL of all rules, each text once.
func (l *linker) expressions(d *Document) {
	known := map[string]*celexpr.Expr{}
	compile := func(p *Rules) {
		p.find(func(t *Test) bool {
			if t.CEL == nil {
				return false
			}
			e, ok := known[t.CEL.Text]
			if !ok {
				var faults []celexpr.Fault
				e, faults = celexpr.Compile(t.CEL.Text)
				for _, f := range faults {
					l.faults.Add(t.CEL.place.Fault("cel, line %d, character %d: %s", f.Line, f.Column+1, f.Message))
				}
				known[t.CEL.Text] = e
			}
			t.CEL.expr = e
			return false
		})
	}
	for i := range d.Routes {
		compile(d.Routes[i].Policy)
	}
	for i := range d.TCPRoutes {
		compile(d.TCPRoutes[i].Policy)
	}
}

// expression returns the word for an expression, the same for equal ones.
func (c *compiler) expression(x *CELExpr) uint32 {
	key := "cel\x00" + x.Text
	word, ok := c.sets[key]
	if !ok {
		word = uint32(len(c.pool.exprs))
		c.pool.exprs = append(c.pool.exprs, x.expr)
		c.sets[key] = word
	}
	return word
}

func (t arg) cel(q *query) (value, reason) {
	e := t.pool.exprs[t.word]
	if q.id == nil && e.Facts().Identity {
		return unknown, rUnauthenticated
	}
	met, err := e.Eval(q.id, q.req)
	if err != nil {
		return failed, rError
	}
	return is(met), rCEL
}
