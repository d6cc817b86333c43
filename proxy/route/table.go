package route

import (
	"bytes"
	"hash/maphash"
	"math"
)

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
//
// At 100,000 routes a lookup is made of cache misses, most of which wait for another. So
// a table has no pointers: hosts and slots are hash tables (open addressing, linear
// probing, at most two thirds full) of small records whose text lies together, and both are
// looked for at once: see hash. Only the operator's policy puts keys in, so nobody can
// crowd them.
type Table struct {
	seed  maphash.Seed
	text  []byte // the names of hosts and the paths, one after another
	hosts []host // a hash table by name
	slots []slot // a hash table by host and path
	any   host   // the zero host if no route takes any host
	wild  bool   // there are wildcards

	methods []string // by entry.method; methods[0] is "", any
	entries []entry  // the second and later methods of slots
	allow   []string // values of the Allow field, by slot.allow
}

// hostID numbers the host patterns of a table, from 1.
type hostID uint32

const noHost hostID = 0

// maxDepth is the most segments that a prefix may have, so that the depths in use
// fit one word.
const maxDepth = 63

// host says where to look among the paths of one host pattern. The zero host has none.
type host struct {
	depths uint64 // bit d: it has a prefix of d segments; bit 0 is "/"
	mark   uint32 // upper half of the hash
	id     hostID
	name   uint32 // offset in Table.text: "app.example.com"; "example.com" of "*.example.com"
	length uint8  // of the name
	wild   bool
	exact  bool // it has exact paths
}

// slot holds the routes that share host and path, by method. The first is here and not
// elsewhere. The zero slot has none.
type slot struct {
	mark   uint32 // upper half of the hash
	host   hostID
	path   uint32 // offset in Table.text; a prefix has no trailing slash: "/" is ""
	length uint16 // of the path
	n      uint8
	prefix bool
	entry  entry
	more   uint32 // the others are Table.entries[more:more+n]
	allow  uint32 // index into Table.allow
}

// entry is one method of one route.
type entry struct {
	route  uint32
	method uint32 // index into Table.methods
}

// Match finds the route for a request. host is as NormalizeHost gives it, path as
// Normalize does, method as sent (methods are case-sensitive). With Found, index is
// that of the route among the specs given to Compile; with MethodNotAllowed it is
// what Allow wants to know; otherwise it is -1.
func (t *Table) Match(host, path []byte, method string) (index int, outcome Outcome) {
	h, key := t.host(host)
	if h == nil || len(path) == 0 || path[0] != '/' {
		return -1, NotFound
	}
	s := t.path(h, key, path)
	if s == nil {
		return -1, NotFound
	}
	if t.methods[s.entry.method] == method {
		return int(s.entry.route), Found
	}
	for _, e := range t.entries[s.more : s.more+uint32(s.n)] {
		if t.methods[e.method] == method {
			return int(e.route), Found
		}
	}
	if s.entry.method == anyMethod { // the one for every method is first
		return int(s.entry.route), Found
	}
	return int(s.allow), MethodNotAllowed
}

// Allow returns the value of the Allow field (RFC 9110 section 10.2.1) for an index
// that came with MethodNotAllowed.
func (t *Table) Allow(index int) string { return t.allow[index] }

// host returns the most specific pattern for a host, nil if there is none, and what its
// paths are found by.
func (t *Table) host(name []byte) (h *host, key uint64) {
	if len(t.hosts) > 0 { // the zero value has no seed to hash with
		if h, key := t.named(name, false); h != nil {
			return h, key
		}
	}
	if t.wild {
		for rest := name; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if h, key := t.named(rest, true); h != nil {
				return h, key
			}
		}
	}
	if t.any.id == noHost {
		return nil, 0
	}
	return &t.any, anyKey
}

func (t *Table) named(name []byte, wild bool) (h *host, key uint64) {
	key = t.hash(name, anyKey, wild)
	for i := place(key, len(t.hosts)); ; i++ {
		if i == len(t.hosts) {
			i = 0
		}
		h := &t.hosts[i]
		switch {
		case h.id == noHost:
			return nil, 0
		case h.mark == uint32(key>>32) && h.wild == wild && string(t.name(h)) == string(name):
			return h, key
		}
	}
}

func (t *Table) slot(h *host, key uint64, path []byte, prefix bool) *slot {
	hash := t.hash(path, key, prefix)
	for i := place(hash, len(t.slots)); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		s := &t.slots[i]
		switch {
		case s.host == noHost:
			return nil
		case s.mark == uint32(hash>>32) && s.host == h.id && s.prefix == prefix && string(t.pathOf(s)) == string(path):
			return s
		}
	}
}

func (t *Table) name(h *host) []byte   { return t.text[h.name : h.name+uint32(h.length)] }
func (t *Table) pathOf(s *slot) []byte { return t.text[s.path : s.path+uint32(s.length)] }

// place is where in a hash table of that size a search for hash begins.
func place(hash uint64, size int) int { return int(hash & math.MaxUint32 * uint64(size) >> 32) }

// anyKey is the key of "*".
const anyKey = 0

// hash is of a name, or of a path below the key of its host. The key is the hash of the
// host and not its number: the processor can then look for the path while it still waits
// for what is known of the host.
func (t *Table) hash(text []byte, key uint64, kind bool) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio
	if kind {
		key++
	}
	return maphash.Bytes(t.seed, text) ^ key*odd
}

// path returns the most specific slot of a host for a path, nil if there is none.
func (t *Table) path(h *host, key uint64, path []byte) *slot {
	if h.exact {
		if s := t.slot(h, key, path, false); s != nil {
			return s
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
		if s := t.slot(h, key, path[:ends[depth]], true); s != nil {
			return s
		}
	}
	return nil
}
