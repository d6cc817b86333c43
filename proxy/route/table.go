package route

import "bytes"

// Outcome says what Match found.
type Outcome uint8

// The outcomes. The zero value refuses.
const (
	NotFound         Outcome = iota // no route for this host and path: 404
	Found                           // the index is that of the route's Spec
	MethodNotAllowed                // host and path have routes, none for this method: 405
)

func (o Outcome) String() string {
	switch o {
	case NotFound:
		return "not found"
	case Found:
		return "found"
	case MethodNotAllowed:
		return "method not allowed"
	}
	return "invalid"
}

// Table is an immutable set of compiled routes. The zero value has no routes.
// It is safe for concurrent use.
type Table struct {
	exact    map[string]host // "app.example.com"
	wildcard map[string]host // "example.com" for "*.example.com"
	any      host            // the zero host if no route takes any host

	paths   map[pathKey]slot
	entries []entry  // the second and later methods of slots
	allow   []string // values of the Allow field, by slot.allow
}

// hostID numbers the host patterns of a table. All paths of all hosts share one map,
// keyed by host and path: 100,000 hosts with one route each cost no map each.
type hostID uint32

const noHost hostID = 0

// maxDepth is the most segments that a prefix may have, so that the depths in use
// fit one word.
const maxDepth = 63

// host says where to look among the paths of one host pattern. The zero host has none.
type host struct {
	id     hostID
	exact  bool   // it has exact paths
	depths uint64 // bit d: it has a prefix of d segments; bit 0 is "/"
}

type pathKey struct {
	host   hostID
	prefix bool
	path   string // a prefix has no trailing slash: "/" is ""
}

// slot holds the routes that share host and path, by method. At 100,000 routes a
// lookup is made of cache misses, so the first method is here and not elsewhere.
type slot struct {
	entry
	more  uint32 // the others are Table.entries[more:more+n]
	n     uint16
	allow uint32 // index into Table.allow
}

// entry is one method of one route.
type entry struct {
	method string // "" is any
	route  int
}

// Match finds the route for a request. host is as NormalizeHost gives it, path as
// Normalize does, method as sent (methods are case-sensitive). With Found, index is
// that of the route among the specs given to Compile; with MethodNotAllowed it is
// what Allow wants to know; otherwise it is -1.
func (t *Table) Match(host, path []byte, method string) (index int, outcome Outcome) {
	h := t.host(host)
	if h.id == noHost || len(path) == 0 || path[0] != '/' {
		return -1, NotFound
	}
	s, ok := t.path(h, path)
	if !ok {
		return -1, NotFound
	}
	if s.method == method {
		return s.route, Found
	}
	for _, e := range t.entries[s.more : s.more+uint32(s.n)] {
		if e.method == method {
			return e.route, Found
		}
	}
	if s.method == "" { // the one for every method is first
		return s.route, Found
	}
	return int(s.allow), MethodNotAllowed
}

// Allow returns the value of the Allow field (RFC 9110 section 10.2.1) for an index
// that came with MethodNotAllowed.
func (t *Table) Allow(index int) string { return t.allow[index] }

// host returns the most specific pattern for a host.
func (t *Table) host(name []byte) host {
	if h, ok := t.exact[string(name)]; ok {
		return h
	}
	if len(t.wildcard) > 0 {
		for rest := name; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if h, ok := t.wildcard[string(rest)]; ok {
				return h
			}
		}
	}
	return t.any
}

// path returns the most specific slot of a host for a path.
func (t *Table) path(h host, path []byte) (slot, bool) {
	if h.exact {
		if s, ok := t.paths[pathKey{host: h.id, path: string(path)}]; ok {
			return s, true
		}
	}
	// ends[d] is where the first d segments end. Only as many are looked for as the
	// deepest prefix of this host has: a path of a thousand segments costs no more.
	var ends [maxDepth + 1]uint32
	depth := 0
	for at := 0; h.depths>>(depth+1) != 0 && at+1 < len(path); depth++ {
		if next := bytes.IndexByte(path[at+1:], '/'); next >= 0 {
			at += 1 + next
		} else {
			at = len(path)
		}
		ends[depth+1] = uint32(at)
	}
	for ; depth >= 0; depth-- {
		if h.depths&(1<<depth) == 0 {
			continue
		}
		if s, ok := t.paths[pathKey{host: h.id, prefix: true, path: string(path[:ends[depth]])}]; ok {
			return s, true
		}
	}
	return slot{}, false
}
