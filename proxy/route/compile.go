package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Compile builds a table. It reports every fault at once, as *SpecError and
// *ConflictError inside a *multierror.Error.
func Compile(specs []Spec) (*Table, error) {
	c := compiler{
		specs:  specs,
		table:  &Table{},
		ids:    make(map[string]hostID, len(specs)),
		hosts:  make([]hostPattern, 1, len(specs)+1),
		claims: make([]claim, 0, len(specs)),
		words:  map[string]string{},
	}
	for i := range specs {
		c.add(i)
	}
	c.finish()
	if err := c.faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	return c.table, nil
}

// claim is one method of one route at one host and path.
type claim struct {
	key   pathKey
	entry entry
}

type hostPattern struct {
	host
	pattern string // "app.example.com", "*.example.com", "*"
}

type compiler struct {
	specs  []Spec
	table  *Table
	ids    map[string]hostID // by pattern
	hosts  []hostPattern     // by hostID; hosts[noHost] is no host
	claims []claim
	words  map[string]string // the one copy of each method
	faults *multierror.Error
}

func (c *compiler) fault(i int, field string, err error) {
	c.faults = multierror.Append(c.faults, &SpecError{Index: i, Name: c.specs[i].Name, Field: field, Err: err})
}

func (c *compiler) add(i int) {
	s := &c.specs[i]
	key, field, err := compilePath(s.Path)
	if err != nil {
		c.fault(i, field, err)
		return
	}
	methods := s.Methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	for j, m := range s.Methods {
		if !validMethod(m) {
			c.fault(i, fmt.Sprintf("methods[%d]", j), fmt.Errorf("%q is not a method", m))
			return
		}
	}
	hosts := s.Hosts
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	if len(hosts) > maxHostsPerRoute {
		c.fault(i, "hosts", fmt.Errorf("%d hosts, at most %d", len(hosts), maxHostsPerRoute))
		return
	}
	for j, h := range hosts {
		id, err := c.host(h)
		if err != nil {
			c.fault(i, fmt.Sprintf("hosts[%d]", j), err)
			continue
		}
		key.host = id
		for _, m := range methods {
			c.claims = append(c.claims, claim{key, entry{c.intern(m), i}})
		}
	}
}

// intern returns the one copy of a method: shared by all routes it stays in the cache.
func (c *compiler) intern(method string) string {
	word, ok := c.words[method]
	if !ok {
		c.words[method], word = method, method
	}
	return word
}

// host returns the id of a pattern, a new one if it is the first of its kind.
func (c *compiler) host(pattern string) (hostID, error) {
	p, err := ParseHostPattern(pattern)
	if err != nil {
		return noHost, err
	}
	id, ok := c.ids[p]
	if !ok {
		id = hostID(len(c.hosts))
		c.ids[p] = id
		c.hosts = append(c.hosts, hostPattern{host{id: id}, p})
	}
	return id, nil
}

// finish sorts the claims by host, path and method, so that those which share a slot
// are neighbours, refuses twins and fills the table.
func (c *compiler) finish() {
	slices.SortStableFunc(c.claims, func(a, b claim) int {
		return cmp.Or(
			cmp.Compare(a.key.host, b.key.host),
			compareBool(a.key.prefix, b.key.prefix),
			strings.Compare(a.key.path, b.key.path),
			strings.Compare(a.entry.method, b.entry.method),
			cmp.Compare(a.entry.route, b.entry.route))
	})
	t := c.table
	t.paths = make(map[pathKey]slot, len(c.claims))
	allow := map[string]uint32{}
	for rest := c.claims; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].key == rest[0].key {
			n++
		}
		c.slot(rest[:n], allow)
		rest = rest[n:]
	}
	t.exact, t.wildcard = make(map[string]host, len(c.hosts)), map[string]host{}
	for _, h := range c.hosts[1:] {
		if h.pattern == "*" {
			t.any = h.host
		} else if below, ok := strings.CutPrefix(h.pattern, "*."); ok {
			t.wildcard[below] = h.host
		} else {
			t.exact[h.pattern] = h.host
		}
	}
}

// slot enters the claims of one host and path.
func (c *compiler) slot(claims []claim, allow map[string]uint32) {
	t := c.table
	key := claims[0].key
	if key.prefix {
		c.hosts[key.host].depths |= 1 << strings.Count(key.path, "/")
	} else {
		c.hosts[key.host].exact = true
	}
	if len(claims) > maxMethodsPerPath {
		c.fault(claims[0].entry.route, "methods",
			fmt.Errorf("%d methods at %s, at most %d", len(claims), c.claimText(claims[0]), maxMethodsPerPath))
		return
	}
	s := slot{entry: claims[0].entry, more: uint32(len(t.entries)), n: uint16(len(claims) - 1)}
	methods := make([]string, 0, len(claims))
	for i, cl := range claims {
		if i > 0 && claims[i-1].entry.method == cl.entry.method {
			c.conflict(claims[i-1], cl)
			continue
		}
		if i > 0 {
			t.entries = append(t.entries, cl.entry)
		}
		methods = append(methods, cl.entry.method)
	}
	if methods[0] != "" { // "" sorts first: no route here takes every method
		value := strings.Join(methods, ", ")
		at, ok := allow[value]
		if !ok {
			at = uint32(len(t.allow))
			t.allow = append(t.allow, value)
			allow[value] = at
		}
		s.allow = at
	}
	t.paths[key] = s
}

func (c *compiler) conflict(a, b claim) {
	if a.entry.route == b.entry.route {
		c.fault(a.entry.route, "hosts, methods", fmt.Errorf("%s is named twice", c.claimText(b)))
		return
	}
	c.faults = multierror.Append(c.faults, &ConflictError{
		First: a.entry.route, Second: b.entry.route,
		Names: fmt.Sprintf("%q and %q", c.specs[a.entry.route].Name, c.specs[b.entry.route].Name),
		Claim: c.claimText(b),
	})
}

// claimText spells a claim for a message: "GET *.example.com/a (prefix)".
func (c *compiler) claimText(cl claim) string {
	var b strings.Builder
	if cl.entry.method != "" {
		b.WriteString(cl.entry.method + " ")
	}
	b.WriteString(c.hosts[cl.key.host].pattern)
	switch {
	case !cl.key.prefix:
		b.WriteString(cl.key.path + " (exact)")
	case cl.key.path == "":
		b.WriteString("/ (prefix)")
	default:
		b.WriteString(cl.key.path + " (prefix)")
	}
	return b.String()
}

func compilePath(p PathSpec) (key pathKey, field string, err error) {
	switch {
	case p.Exact != "" && p.Prefix != "":
		return key, "path", fmt.Errorf("both exact and prefix; choose one")
	case p.Exact != "":
		return pathKey{path: p.Exact}, "path.exact", checkPath(p.Exact)
	case p.Prefix == "":
		return pathKey{prefix: true}, "", nil
	}
	if err := checkPath(p.Prefix); err != nil {
		return key, "path.prefix", err
	}
	key = pathKey{prefix: true, path: strings.TrimSuffix(p.Prefix, "/")}
	if n := strings.Count(key.path, "/"); n > maxDepth {
		return key, "path.prefix", fmt.Errorf("%d segments, at most %d", n, maxDepth)
	}
	return key, "", nil
}

// checkPath refuses a configured path that no request could ever have once normalised:
// such a route would be dead, and its access rule a rule that never applies.
func checkPath(p string) error {
	n, err := Normalize(nil, []byte(p), PathOptions{PathParameters: true})
	if err != nil {
		return fmt.Errorf("%q: %w", p, err)
	}
	if string(n) != p {
		return fmt.Errorf("%q is never seen in this form; write %q", p, n)
	}
	return nil
}

// validMethod says whether m is a token (RFC 9110 section 5.6.2) in upper case. The
// standard methods are upper case and case-sensitive: "get" would match nothing.
func validMethod(m string) bool {
	for i := range len(m) {
		switch c := m[i]; {
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return m != "" && len(m) <= 32
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
