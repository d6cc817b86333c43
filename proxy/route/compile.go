package route

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Compile builds a table. It reports every fault at once, as *SpecError and
// *ConflictError inside a *multierror.Error.
func Compile(specs []Spec) (*Table, error) {
	c := compiler{
		specs:   specs,
		table:   &Table{seed: maphash.MakeSeed(), methods: []string{""}},
		ids:     make(map[string]hostID, len(specs)),
		hosts:   make([]hostPattern, 1, len(specs)+1),
		claims:  make([]claim, 0, len(specs)),
		methods: map[string]uint32{"": anyMethod},
		texts:   make(map[string]uint32, len(specs)),
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

// anyMethod is the number of "", which is every method.
const anyMethod = 0

// claim is one method of one route at one host and path.
type claim struct {
	key    pathKey
	method string
	route  int
}

type pathKey struct {
	host   hostID
	prefix bool
	path   string // a prefix has no trailing slash: "/" is ""
}

type hostPattern struct {
	host
	pattern string // "app.example.com", "*.example.com", "*"
}

type compiler struct {
	specs   []Spec
	table   *Table
	ids     map[string]hostID // by pattern
	hosts   []hostPattern     // by hostID; hosts[noHost] is no host
	claims  []claim
	methods map[string]uint32 // their numbers in Table.methods
	slots   []slot
	texts   map[string]uint32 // what is in Table.text
	faults  *multierror.Error
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
			c.claims = append(c.claims, claim{key, m, i})
		}
	}
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

func (c *compiler) conflict(a, b claim) {
	if a.route == b.route {
		c.fault(a.route, "hosts, methods", fmt.Errorf("%s is named twice", c.claimText(b)))
		return
	}
	c.faults = multierror.Append(c.faults, &ConflictError{
		First: a.route, Second: b.route,
		Names: fmt.Sprintf("%q and %q", c.specs[a.route].Name, c.specs[b.route].Name),
		Claim: c.claimText(b),
	})
}

// claimText spells a claim for a message: "GET *.example.com/a (prefix)".
func (c *compiler) claimText(cl claim) string {
	var b strings.Builder
	if cl.method != "" {
		b.WriteString(cl.method + " ")
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
	if len(p) > math.MaxUint16 {
		return fmt.Errorf("%d bytes, at most %d", len(p), math.MaxUint16)
	}
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
