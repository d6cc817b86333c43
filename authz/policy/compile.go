package policy

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Programs are the compiled policies of a document, by the index of their route.
type Programs struct {
	Routes []*Program
	TCP    []*Program
}

// Program decides for one policy. Routes with the same rules share one. It is an
// authz.Authorizer: immutable, safe for concurrent use, and it allocates nothing.
type Program struct {
	code  []inst // the blocks of deny actions, then those of allow actions
	allow int    // index in code of the first block of an allow action
	tests []test
	facts Facts
	none  bool // the route has no policy
}

// Facts is what a program looks at: what a cached decision would depend on.
type Facts struct {
	Identity bool // any criterion about who it is
	Groups   bool
	Claims   bool
	SourceIP bool
	Method   bool
	Path     bool
}

// Facts returns what the program looks at.
func (p *Program) Facts() Facts { return p.facts }

// inst is an expression. Those in its list follow it, up to end.
type inst struct {
	op   Op
	rule uint16 // index of the policy's rule
	test uint32 // of a leaf: index into Program.tests
	end  uint32 // index in code after this expression
}

// test is a Test in the form that is fast to ask.
type test struct {
	criterion Criterion
	matcher   Matcher
	value     string // folded for email and domain
	claim     string
	set       *set // of In, NotIn and Within
}

type set struct {
	list  []string
	index map[string]struct{} // instead of list if there are many
	nets  []netip.Prefix
}

// indexFrom is the number of values from which a map beats a walk.
const indexFrom = 9

// Compile compiles the policies of a document.
func Compile(d *Document) *Programs {
	c := newCompiler()
	out := &Programs{Routes: make([]*Program, len(d.Routes)), TCP: make([]*Program, len(d.TCPRoutes))}
	for i := range d.Routes {
		out.Routes[i] = c.program(d.Routes[i].Policy)
	}
	for i := range d.TCPRoutes {
		out.TCP[i] = c.program(d.TCPRoutes[i].Policy)
	}
	return out
}

// CompileRules compiles one policy. Nil refuses everything.
func CompileRules(r *Rules) *Program {
	c := newCompiler()
	return c.program(r)
}

// compiler shares whatever is equal, not only whole programs: with 100,000 routes a
// decision is made of cache misses, and what routes have in common (the shape of their
// rules, the networks, the words) is then in the cache.
type compiler struct {
	known   map[string]*Program // by print of the rules
	shapes  map[string][]inst
	sets    map[string]*set
	strings map[string]string
	buf     []byte
}

func newCompiler() *compiler {
	return &compiler{
		known: map[string]*Program{}, shapes: map[string][]inst{},
		sets: map[string]*set{}, strings: map[string]string{},
	}
}

func (c *compiler) intern(s string) string {
	known, ok := c.strings[s]
	if !ok {
		c.strings[s], known = s, s
	}
	return known
}

func (c *compiler) program(r *Rules) *Program {
	c.buf = r.print(c.buf[:0])
	if p, ok := c.known[string(c.buf)]; ok {
		return p
	}
	p := &Program{none: r == nil}
	if r != nil {
		exprs, tests := r.count()
		p.code, p.tests = make([]inst, 0, exprs), make([]test, 0, tests)
		for i := range r.List {
			p.add(c, r.List[i].Deny, i)
		}
		p.allow = len(p.code)
		for i := range r.List {
			p.add(c, r.List[i].Allow, i)
		}
		p.code = c.shape(p.code)
	}
	c.known[string(r.print(c.buf[:0]))] = p
	return p
}

// shape returns the one copy of code.
func (c *compiler) shape(code []inst) []inst {
	b := c.buf[:0]
	for _, in := range code {
		b = append(b, byte(in.op))
		b = binary.AppendUvarint(b, uint64(in.rule))
		b = binary.AppendUvarint(b, uint64(in.test))
		b = binary.AppendUvarint(b, uint64(in.end))
	}
	c.buf = b
	known, ok := c.shapes[string(b)]
	if !ok {
		c.shapes[string(b)], known = code, code
	}
	return known
}

func (p *Program) add(c *compiler, list []Expr, rule int) {
	for i := range list {
		e, at := &list[i], len(p.code)
		p.code = append(p.code, inst{op: e.Op, rule: uint16(rule)})
		if e.Op == Leaf {
			p.code[at].test = uint32(len(p.tests))
			p.tests = append(p.tests, p.test(c, &e.Test))
		} else {
			p.add(c, e.List, rule)
		}
		p.code[at].end = uint32(len(p.code))
	}
}

func (p *Program) test(c *compiler, t *Test) test {
	f := &p.facts
	f.Identity = f.Identity || t.Criterion.needsIdentity()
	switch t.Criterion {
	case Groups:
		f.Groups = true
	case Claim:
		f.Claims = true
	case SourceIP:
		f.SourceIP = true
	case HTTPMethod:
		f.Method = true
	case HTTPPath:
		f.Path = true
	case Accept, Reject, AuthenticatedUser, Email, Domain, User:
	}
	out := test{criterion: t.Criterion, matcher: t.Matcher, claim: c.intern(t.Claim)}
	fold := func(s string) string { return s }
	if t.Criterion == Email || t.Criterion == Domain {
		fold = lowerASCII
	}
	switch {
	case t.Matcher == In, t.Matcher == NotIn, t.Matcher == Within:
		out.set = c.set(t, fold)
	case len(t.Values) > 0:
		out.value = c.intern(fold(t.Values[0]))
	}
	return out
}

// set returns the one copy of a set of values or networks.
func (c *compiler) set(t *Test, fold func(string) string) *set {
	values := make([]string, len(t.Values))
	for i, v := range t.Values {
		values[i] = c.intern(fold(v))
	}
	c.buf = printSet(c.buf[:0], values, t.Nets)
	known, ok := c.sets[string(c.buf)]
	if ok {
		return known
	}
	out := &set{nets: t.Nets}
	if len(values) < indexFrom {
		out.list = values
	} else {
		out.index = make(map[string]struct{}, len(values))
		for _, v := range values {
			out.index[v] = struct{}{}
		}
	}
	c.sets[string(c.buf)] = out
	return out
}

// lowerASCII leaves other letters alone, as the comparison at run time does.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// count returns how many expressions and tests the rules have.
func (r *Rules) count() (exprs, tests int) {
	var walk func([]Expr)
	walk = func(list []Expr) {
		for i := range list {
			exprs++
			if list[i].Op == Leaf {
				tests++
			}
			walk(list[i].List)
		}
	}
	for i := range r.List {
		walk(r.List[i].Deny)
		walk(r.List[i].Allow)
	}
	return exprs, tests
}
