package policy

import (
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
	criterionNames = append(append(sortedKeys(criteria), "claim/"), operators...)
	// In the order of the constants; the last two are clearer words for not and nor.
	operators   = []string{"and", "or", "not", "nor", "none_of", "not_all_of"}
	actions     = []string{"allow", "deny"}
	stringWords = sortedKeys(stringMatchers)
	listWords   = sortedKeys(listMatchers)
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
			r.FaultOf(yaml.OutOfRange, n, "%d rules; at most %d", n.Len(), maxRules)
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
		r.FaultOf(yaml.Required, n, "a rule without allow or deny")
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
		r.FaultOf(yaml.Required, n, "no criteria; write {and: [{accept: true}]} to mean everyone")
	}
	var blocks []Expr
	for i := range n.Len() {
		key, value := n.Entry(i)
		op, ok := operator(key.Text())
		if !ok {
			if _, known := criteria[key.Text()]; known || strings.HasPrefix(key.Text(), "claim/") {
				r.Fault(key, "criterion %q must be in a list under and, or, none_of or not_all_of", key.Text())
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
	if i > int(Nor) {
		i -= int(Nor) - int(Or) // none_of is not, not_all_of is nor
	}
	return Op(max(i, 0)), i >= 0
}

func (d *rulesDecoder) block(op Op, n yaml.Node, r *yaml.Reader, depth int) (Expr, bool) {
	if !r.Expect(n, yaml.List) {
		return Expr{}, false
	}
	if n.Len() == 0 {
		r.FaultOf(yaml.Required, n, "an empty list of criteria; write [{accept: true}] to mean everyone")
		return Expr{}, false
	}
	if d.exprs += n.Len(); depth > maxNested || d.exprs > maxExprs {
		r.FaultOf(yaml.OutOfRange, n, "the rules are too large: at most %d criteria, %d lists inside one another", maxExprs, maxNested)
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
