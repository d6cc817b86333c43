package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// The limits of one policy.
const (
	maxRules  = 256
	maxNested = 8
	maxExprs  = 4096 // of one route's policy
	maxValues = 4096 // of one matcher
)

var (
	criterionNames = append(sortedKeys(criteria), "claim/", "and", "or", "not", "nor")
	operators      = []string{"and", "or", "not", "nor"}
	actions        = []string{"allow", "deny"}
	stringWords    = sortedKeys(stringMatchers)
	listWords      = sortedKeys(listMatchers)
)

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// UnmarshalYAML reads one rule or a list of rules.
func (p *Rules) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	d := &rulesDecoder{}
	switch n.Kind() {
	case yaml.Map:
		p.List = []Rule{d.rule(n, r)}
	case yaml.List:
		if n.Len() > maxRules {
			r.Fault(n, "%d rules; at most %d", n.Len(), maxRules)
			return
		}
		p.List = make([]Rule, 0, n.Len())
		for i := range n.Len() {
			p.List = append(p.List, d.rule(n.Item(i), r.Index(i)))
		}
	default:
		r.Expect(n, yaml.List)
	}
}

type rulesDecoder struct {
	exprs int  // read so far
	deny  bool // inside a deny action
}

func (d *rulesDecoder) rule(n yaml.Node, r *yaml.Reader) (out Rule) {
	if !r.Expect(n, yaml.Map) {
		return out
	}
	if n.Len() == 0 {
		r.Fault(n, "a rule without allow or deny")
	}
	for i := range n.Len() {
		key, value := n.Entry(i)
		switch key.Text() {
		case "allow":
			d.deny = false
			out.Allow = d.action(value, r.Key("allow"))
		case "deny":
			d.deny = true
			out.Deny = d.action(value, r.Key("deny"))
		default:
			r.Unknown("action", key, actions)
		}
	}
	return out
}

// action reads the blocks of an allow or deny.
func (d *rulesDecoder) action(n yaml.Node, r *yaml.Reader) []Expr {
	if !r.Expect(n, yaml.Map) {
		return nil
	}
	if n.Len() == 0 {
		r.Fault(n, "no criteria; write {and: [{accept: true}]} to mean everyone")
	}
	var blocks []Expr
	for i := range n.Len() {
		key, value := n.Entry(i)
		op, ok := operator(key.Text())
		if !ok {
			if _, known := criteria[key.Text()]; known || strings.HasPrefix(key.Text(), "claim/") {
				r.Fault(key, "criterion %q must be in a list under and, or, not or nor", key.Text())
			} else {
				r.Unknown("operator", key, operators)
			}
			continue
		}
		if e, ok := d.block(op, value, r.Key(key.Text()), 1); ok {
			blocks = append(blocks, e)
		}
	}
	return blocks
}

func operator(word string) (Op, bool) {
	i := slices.Index(operators, word)
	return Op(max(i, 0)), i >= 0 // in the order of the constants
}

func (d *rulesDecoder) block(op Op, n yaml.Node, r *yaml.Reader, depth int) (Expr, bool) {
	if !r.Expect(n, yaml.List) {
		return Expr{}, false
	}
	if n.Len() == 0 {
		r.Fault(n, "an empty list of criteria; write [{accept: true}] to mean everyone")
		return Expr{}, false
	}
	if d.exprs += n.Len(); depth > maxNested || d.exprs > maxExprs {
		r.Fault(n, "the rules are too large: at most %d criteria, %d lists inside one another", maxExprs, maxNested)
		return Expr{}, false
	}
	out := Expr{Op: op, List: make([]Expr, 0, n.Len())}
	for i := range n.Len() {
		if e, ok := d.criterion(n.Item(i), r.Index(i), depth); ok {
			out.List = append(out.List, e)
		}
	}
	return out, len(out.List) > 0
}

// criterion reads {name: value}.
func (d *rulesDecoder) criterion(n yaml.Node, r *yaml.Reader, depth int) (Expr, bool) {
	if !r.Expect(n, yaml.Map) {
		return Expr{}, false
	}
	if n.Len() != 1 {
		r.Fault(n, "%d criteria in one entry; each is an entry of its own", n.Len())
		return Expr{}, false
	}
	key, value := n.Entry(0)
	name := key.Text()
	if op, ok := operator(name); ok {
		return d.block(op, value, r.Key(name), depth+1)
	}
	if why, ok := foreign[name]; ok {
		r.Fault(key, "criterion %q is %s", name, why)
		return Expr{}, false
	}
	test, kind := Test{}, matchList
	if claim, ok := strings.CutPrefix(name, "claim/"); ok {
		if claim == "" {
			r.Fault(key, "claim/ needs the path of a claim, for example claim/amr")
			return Expr{}, false
		}
		test.Criterion, test.Claim = Claim, claim
	} else if c, ok := criteria[name]; ok {
		test.Criterion, kind = c.criterion, c.kind
	} else {
		r.Unknown("criterion", key, criterionNames)
		return Expr{}, false
	}
	if d.deny && test.Criterion == Reject {
		r.Fault(key, "reject is never true, so that this deny would never apply; write accept to deny everyone")
		return Expr{}, false
	}
	return readTest(test, kind, value, r.Key(name))
}

func readTest(test Test, kind matchKind, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	switch kind {
	case matchTrue:
		if n.Kind() != yaml.Bool || !strings.EqualFold(n.Text(), "true") {
			r.Fault(n, "the value must be true")
			return Expr{}, false
		}
		return Expr{Op: Leaf, Test: test}, true
	case matchNets:
		test.Matcher = Within
		ok := readNets(&test, n, r)
		return Expr{Op: Leaf, Test: test}, ok
	case matchString:
		return readMatchers(test, stringMatchers, stringWords, Is, n, r)
	}
	return readMatchers(test, listMatchers, listWords, Has, n, r)
}

// readMatchers reads {is: x}, {in: [x, y]} or a bare value. Several matchers must all
// be met.
func readMatchers(test Test, known map[string]Matcher, words []string, bare Matcher, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	if n.Kind() != yaml.Map {
		test.Matcher = bare
		ok := readValues(&test, n, r)
		return Expr{Op: Leaf, Test: test}, ok
	}
	if n.Len() == 0 {
		r.Fault(n, "no matcher; give one of: %s", strings.Join(words, ", "))
		return Expr{}, false
	}
	out := Expr{Op: And}
	for i := range n.Len() {
		key, value := n.Entry(i)
		m, ok := known[key.Text()]
		if !ok {
			r.Unknown("matcher", key, words)
			continue
		}
		leaf := test
		leaf.Matcher = m
		if readValues(&leaf, value, r.Key(key.Text())) {
			out.List = append(out.List, Expr{Op: Leaf, Test: leaf})
		}
	}
	if len(out.List) == 1 {
		return out.List[0], true
	}
	return out, len(out.List) > 0
}

// readValues reads one string, or a list of them for In and NotIn.
func readValues(t *Test, n yaml.Node, r *yaml.Reader) bool {
	if t.Matcher != In && t.Matcher != NotIn {
		if !r.Expect(n, yaml.String) {
			return false
		}
		t.Values = []string{n.Text()}
		return checkValue(t, n.Text(), n, r)
	}
	if !r.Expect(n, yaml.List) {
		return false
	}
	if n.Len() == 0 || n.Len() > maxValues {
		r.Fault(n, "a list of %d values; from 1 to %d", n.Len(), maxValues)
		return false
	}
	ok := true
	t.Values = make([]string, 0, n.Len())
	for i := range n.Len() {
		item := n.Item(i)
		if !r.Index(i).Expect(item, yaml.String) || !checkValue(t, item.Text(), item, r.Index(i)) {
			ok = false
			continue
		}
		t.Values = append(t.Values, item.Text())
	}
	return ok
}

// checkValue refuses values that could never be met: in a deny they would be holes.
func checkValue(t *Test, v string, n yaml.Node, r *yaml.Reader) bool {
	whole := t.Matcher == Is || t.Matcher == IsNot || t.Matcher == In || t.Matcher == NotIn
	switch {
	case v == "":
		r.Fault(n, "an empty string")
	case t.Criterion == HTTPMethod && whole && strings.ToUpper(v) != v:
		r.Fault(n, "methods are case-sensitive; write %q", strings.ToUpper(v))
	case t.Criterion == HTTPPath && v[0] != '/' && (whole || t.Matcher == StartsWith):
		r.Fault(n, "%q: a path begins with a slash", v)
	case t.Criterion == HTTPPath && (whole || t.Matcher == StartsWith) && !normal(v):
		r.Fault(n, "%q: no request has this path; dots and double slashes are gone when rules are asked", v)
	case t.Criterion == Email && whole && !strings.Contains(v, "@"):
		r.Fault(n, "%q is not an email address; for all of a domain use domain", v)
	case t.Criterion == Domain && strings.Contains(v, "@"):
		r.Fault(n, "%q: a domain has no @", v)
	default:
		return true
	}
	return false
}

// normal says whether a path could be seen after normalisation, as far as that is
// plain to see.
func normal(path string) bool {
	for _, bad := range []string{"//", "/./", "/../", "\\", "?", "#", " "} {
		if strings.Contains(path, bad) {
			return false
		}
	}
	return !strings.HasSuffix(path, "/.") && !strings.HasSuffix(path, "/..")
}

// readNets reads an address, a network, or a list of them.
func readNets(t *Test, n yaml.Node, r *yaml.Reader) bool {
	if n.Kind() != yaml.List {
		return readNet(t, n, r)
	}
	if n.Len() == 0 || n.Len() > maxValues {
		r.Fault(n, "a list of %d networks; from 1 to %d", n.Len(), maxValues)
		return false
	}
	ok := true
	for i := range n.Len() {
		ok = readNet(t, n.Item(i), r.Index(i)) && ok
	}
	return ok
}

func readNet(t *Test, n yaml.Node, r *yaml.Reader) bool {
	if !r.Expect(n, yaml.String) {
		return false
	}
	text := n.Text()
	p, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			r.Fault(n, "%q is neither an address nor a network such as 10.0.0.0/8", text)
			return false
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p.Addr().Is4In6() { // clients are seen as IPv4: such a network would match none
		r.Fault(n, "%q: write IPv4 networks as IPv4", text)
		return false
	}
	if p != p.Masked() {
		r.Fault(n, "%q has bits set beyond its length; write %q", text, p.Masked().String())
		return false
	}
	t.Nets = append(t.Nets, p)
	return true
}
