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
	c := compiler{known: map[string]*Program{}}
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
	c := compiler{known: map[string]*Program{}}
	return c.program(r)
}

type compiler struct {
	known map[string]*Program // by print of the rules
	buf   []byte
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
			p.add(r.List[i].Deny, i)
		}
		p.allow = len(p.code)
		for i := range r.List {
			p.add(r.List[i].Allow, i)
		}
	}
	c.known[string(c.buf)] = p
	return p
}

func (p *Program) add(list []Expr, rule int) {
	for i := range list {
		e, at := &list[i], len(p.code)
		p.code = append(p.code, inst{op: e.Op, rule: uint16(rule)})
		if e.Op == Leaf {
			p.code[at].test = uint32(len(p.tests))
			p.tests = append(p.tests, p.test(&e.Test))
		} else {
			p.add(e.List, rule)
		}
		p.code[at].end = uint32(len(p.code))
	}
}

func (p *Program) test(t *Test) test {
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
	out := test{criterion: t.Criterion, matcher: t.Matcher, claim: t.Claim}
	values := t.Values
	if t.Criterion == Email || t.Criterion == Domain {
		values = make([]string, len(t.Values))
		for i, v := range t.Values {
			values[i] = lowerASCII(v)
		}
	}
	switch {
	case t.Matcher == Within:
		out.set = &set{nets: t.Nets}
	case t.Matcher != In && t.Matcher != NotIn:
		if len(values) > 0 {
			out.value = values[0]
		}
	case len(values) < indexFrom:
		out.set = &set{list: values}
	default:
		out.set = &set{index: make(map[string]struct{}, len(values))}
		for _, v := range values {
			out.set.index[v] = struct{}{}
		}
	}
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

// print appends a form of the rules that is equal for equal rules and for no others:
// every list and string has its length before it.
func (r *Rules) print(b []byte) []byte {
	if r == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(r.List)))
	for i := range r.List {
		b = printExprs(b, r.List[i].Deny)
		b = printExprs(b, r.List[i].Allow)
	}
	return b
}

func printExprs(b []byte, list []Expr) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		e := &list[i]
		b = append(b, byte(e.Op))
		if e.Op != Leaf {
			b = printExprs(b, e.List)
			continue
		}
		t := &e.Test
		b = append(b, byte(t.Criterion), byte(t.Matcher))
		b = printString(b, t.Claim)
		b = binary.AppendUvarint(b, uint64(len(t.Values)))
		for _, v := range t.Values {
			b = printString(b, v)
		}
		b = binary.AppendUvarint(b, uint64(len(t.Nets)))
		for _, n := range t.Nets {
			b = append(append(b, byte(n.Addr().BitLen()), byte(n.Bits())), n.Addr().AsSlice()...)
		}
	}
	return b
}

func printString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
