package route

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// finish sorts the claims by host, path and method, so that those which share a slot
// are neighbours, refuses twins and fills the table.
func (c *compiler) finish() {
	slices.SortStableFunc(c.claims, func(a, b claim) int {
		return cmp.Or(
			cmp.Compare(a.key.host, b.key.host),
			compareBool(a.key.prefix, b.key.prefix),
			strings.Compare(a.key.path, b.key.path),
			strings.Compare(a.method, b.method),
			cmp.Compare(a.route, b.route))
	})
	allow := map[string]uint32{}
	for rest := c.claims; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].key == rest[0].key {
			n++
		}
		c.slot(rest[:n], allow)
		rest = rest[n:]
	}
	c.index()
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
		c.fault(claims[0].route, "methods",
			fmt.Errorf("%d methods at %s, at most %d", len(claims), c.claimText(claims[0]), maxMethodsPerPath))
		return
	}
	c.name(&c.hosts[key.host])
	s := slot{host: key.host, prefix: key.prefix, path: c.text(key.path), length: uint16(len(key.path)), more: uint32(len(t.entries))}
	methods := make([]string, 0, len(claims))
	for i, cl := range claims {
		if i > 0 && claims[i-1].method == cl.method {
			c.conflict(claims[i-1], cl)
			continue
		}
		e := entry{route: uint32(cl.route), method: c.method(cl.method)}
		if i == 0 {
			s.entry = e
		} else {
			t.entries = append(t.entries, e)
			s.n++
		}
		methods = append(methods, cl.method)
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
	c.slots = append(c.slots, s)
}

// index enters hosts and slots into their hash tables.
func (c *compiler) index() {
	t := c.table
	keys := make([]uint64, len(c.hosts)) // by hostID
	t.hosts = make([]host, tableSize(len(c.hosts)))
	for i := range c.hosts[1:] {
		h := &c.hosts[1+i]
		if h.pattern == "*" {
			t.any = h.host
			continue
		}
		c.name(h)
		t.wild = t.wild || h.wild
		key := t.hash(t.name(&h.host), anyKey, h.wild)
		h.mark, keys[h.id] = uint32(key>>32), key
		at := place(key, len(t.hosts))
		for t.hosts[at].id != noHost {
			at = (at + 1) % len(t.hosts)
		}
		t.hosts[at] = h.host
	}
	t.slots = make([]slot, tableSize(len(c.slots)))
	for i := range c.slots {
		s := &c.slots[i]
		hash := t.hash(t.pathOf(s), keys[s.host], s.prefix)
		s.mark = uint32(hash >> 32)
		at := place(hash, len(t.slots))
		for t.slots[at].host != noHost {
			at = (at + 1) % len(t.slots)
		}
		t.slots[at] = *s
	}
}

// tableSize leaves a hash table of n at most two thirds full, and never full: a search
// ends at a free place. Emptier ones need fewer steps, but more of the cache.
func tableSize(n int) int { return n + n/2 + 1 }

// name gives a host its name, next to the paths that are entered after it.
func (c *compiler) name(h *hostPattern) {
	name, wild := strings.CutPrefix(h.pattern, "*.")
	h.wild, h.name, h.length = wild, c.text(name), uint8(len(name))
}

// text returns where the table has s: once, however many hosts share a path.
func (c *compiler) text(s string) uint32 {
	at, ok := c.texts[s]
	if !ok {
		if len(c.table.text) > math.MaxUint32/2 {
			panic("BUG: a policy of 2 GiB passed the parser")
		}
		at = uint32(len(c.table.text))
		c.table.text = append(c.table.text, s...)
		c.texts[s] = at
	}
	return at
}

// method returns the number of a method.
func (c *compiler) method(name string) uint32 {
	n, ok := c.methods[name]
	if !ok {
		n = uint32(len(c.table.methods))
		c.methods[name] = n
		c.table.methods = append(c.table.methods, name)
	}
	return n
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
