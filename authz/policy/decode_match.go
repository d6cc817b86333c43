package policy

import (
	"net/netip"
	"strings"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

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
	case matchCertificate:
		return readCertificate(test, n, r)
	case matchWindow:
		return readWindow(test, n, r)
	case matchCEL:
		return readCEL(test, n, r)
	case matchDays:
		return readDays(test, n, r)
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
		r.FaultOf(yaml.Required, n, "no matcher; give one of: %s", strings.Join(words, ", "))
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
		r.FaultOf(yaml.OutOfRange, n, "a list of %d values; from 1 to %d", n.Len(), maxValues)
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
		r.FaultOf(yaml.OutOfRange, n, "a list of %d networks; from 1 to %d", n.Len(), maxValues)
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
