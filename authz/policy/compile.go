package policy

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Programs are the compiled policies of a document, by the index of their route.
type Programs struct {
	Routes []Program
	TCP    []Program
}

// Program decides for one policy. It is an authz.Authorizer: immutable, safe for
// concurrent use, and it allocates nothing. The zero value is that of a route without a
// policy: it refuses.
//
// With 100,000 routes a decision is made of cache misses. So a program has only what is
// its own, which values it compares with, and fits into the route that it is for; the
// shape of the rules is shared by all routes that have the same.
type Program struct {
	*shape
	args uint32 // offset in pool.data: a word for each of shape.tests
}

// shape is everything of a program but the values.
type shape struct {
	code  []inst // the blocks of deny actions, then those of allow actions
	allow int    // index in code of the first block of an allow action
	tests []test
	facts Facts
	pool  *pool
}

// Facts is what a program looks at: what a cached decision would depend on.
type Facts struct {
	Identity bool // any criterion about who it is
	Groups   bool
	Claims   bool
	SourceIP bool
	Method   bool
	Path     bool
	Query    bool
	Time     bool // when it was decided

	Certificate bool
	Preflight   bool
}

// Facts returns what the program looks at.
func (p *Program) Facts() Facts {
	if p.shape == nil {
		return Facts{}
	}
	return p.facts
}

// inst is an expression. Those in its list follow it, up to end.
type inst struct {
	op   Op
	rule uint16 // index of the policy's rule
	test uint32 // of a leaf: index into shape.tests
	end  uint32 // index in code after this expression
}

// test is a Test without its values.
type test struct {
	criterion Criterion
	matcher   Matcher
	form      form
	claim     string
}

// form is what the word of a test stands for.
type form uint8

const (
	nothing    form = iota
	single          // a value: see pool.value
	list            // a few values: see pool.list
	lookup          // many values: an index into pool.lookups
	networks        // an index into pool.nets
	windows         // an index into pool.windows
	expression      // an index into pool.exprs
)

// lookupFrom is the number of values from which a map beats a walk.
const lookupFrom = 9

// Compile compiles the policies of a document.
func Compile(d *Document) *Programs {
	c := newCompiler()
	out := &Programs{Routes: make([]Program, len(d.Routes)), TCP: make([]Program, len(d.TCPRoutes))}
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
	p := newCompiler().program(r)
	return &p
}

type compiler struct {
	known  map[string]Program // by print of the rules
	shapes map[string]*shape  // by print of the shape
	values map[string]uint32  // where pool.text has them
	sets   map[string]uint32  // what a test's word is, by print of the set
	pool   *pool
	buf    []byte
}

func newCompiler() *compiler {
	return &compiler{
		known: map[string]Program{}, shapes: map[string]*shape{},
		values: map[string]uint32{}, sets: map[string]uint32{}, pool: &pool{},
	}
}

func (c *compiler) program(r *Rules) Program {
	if r == nil {
		return Program{}
	}
	c.buf = r.print(c.buf[:0])
	if p, ok := c.known[string(c.buf)]; ok {
		return p
	}
	key := string(c.buf)
	exprs, tests := r.count()
	s, args := &shape{code: make([]inst, 0, exprs), tests: make([]test, 0, tests), pool: c.pool}, make([]uint32, 0, tests)
	for i := range r.List {
		args = s.add(c, r.List[i].Deny, i, args)
	}
	s.allow = len(s.code)
	for i := range r.List {
		args = s.add(c, r.List[i].Allow, i, args)
	}
	p := Program{shape: c.shape(s), args: c.pool.put(args...)}
	c.known[key] = p
	return p
}

// shape returns the one copy of s.
func (c *compiler) shape(s *shape) *shape {
	b := c.buf[:0]
	for _, in := range s.code {
		b = append(b, byte(in.op))
		b = binary.AppendUvarint(b, uint64(in.rule))
		b = binary.AppendUvarint(b, uint64(in.test))
		b = binary.AppendUvarint(b, uint64(in.end))
	}
	b = binary.AppendUvarint(b, uint64(s.allow))
	for _, t := range s.tests {
		b = printString(append(b, byte(t.criterion), byte(t.matcher), byte(t.form)), t.claim)
	}
	f := &s.facts // expressions of one shape look at different things
	for _, fact := range [...]bool{f.Identity, f.Groups, f.Claims, f.SourceIP, f.Method, f.Path, f.Query, f.Time, f.Certificate} {
		b = strconv.AppendBool(b, fact)
	}
	c.buf = b
	known, ok := c.shapes[string(b)]
	if !ok {
		c.shapes[string(b)], known = s, s
	}
	return known
}

// add appends a list of expressions to the code, and the words of its tests to args.
func (s *shape) add(c *compiler, list []Expr, rule int, args []uint32) []uint32 {
	for i := range list {
		e, at := &list[i], len(s.code)
		s.code = append(s.code, inst{op: e.Op, rule: uint16(rule)})
		if e.Op == Leaf {
			t, word := c.test(&e.Test)
			s.code[at].test = uint32(len(s.tests))
			s.tests, args = append(s.tests, t), append(args, word)
			s.facts.add(&e.Test)
		} else {
			args = s.add(c, e.List, rule, args)
		}
		s.code[at].end = uint32(len(s.code))
	}
	return args
}

func (f *Facts) add(t *Test) {
	f.Identity = f.Identity || t.needsIdentity()
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
	case ClientCertificate:
		f.Certificate = true
	case CORSPreflight:
		f.Preflight = true
	case Date, TimeOfDay, DayOfWeek:
		f.Time = true
	case CEL:
		e := t.CEL.expr.Facts()
		f.Groups, f.Claims, f.Time = f.Groups || e.Groups, f.Claims || e.Claims, f.Time || e.Time
		f.SourceIP, f.Method, f.Path, f.Query = f.SourceIP || e.SourceIP, f.Method || e.Method, f.Path || e.Path, f.Query || e.Query
	case Accept, Reject, AuthenticatedUser, Email, Domain, User:
	}
}

// test returns a test and its word.
func (c *compiler) test(t *Test) (out test, word uint32) {
	out = test{criterion: t.Criterion, matcher: t.Matcher, claim: t.Claim}
	values := t.Values
	if t.Criterion == Email || t.Criterion == Domain || t.foldsCertificate() {
		values = make([]string, len(t.Values))
		for i, v := range t.Values {
			values[i] = lowerASCII(v)
		}
	}
	switch {
	case t.Matcher == Within:
		out.form = networks
	case t.Criterion == CEL:
		out.form = expression
		return out, c.expression(t.CEL)
	case t.Matcher == During:
		out.form = windows
		return out, c.window(t.Window)
	case t.Matcher == In || t.Matcher == NotIn:
		out.form = list
		if len(values) >= lookupFrom {
			out.form = lookup
		}
	case len(values) > 0:
		out.form = single
		return out, c.value(values[0])
	default:
		return out, 0
	}
	return out, c.set(out.form, values, t.Nets)
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
