package policy

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/sluiceproxy/sluice/authz/policy/celexpr"
)

// pool holds what the programs of a document compare with. A test has a word, a number
// whose meaning the test's form gives. Values, lists and the words of a program lie in
// data in the order in which they were first needed, so that what a program has for
// itself is together: one or two cache lines. Immutable once compiled.
type pool struct {
	data    []byte
	lookups []map[string]struct{}
	nets    [][]netip.Prefix
	windows []Window
	exprs   []*celexpr.Expr
}

const wordSize = 4

// word returns the i-th of the words that begin at an offset.
func (p *pool) word(at, i uint32) uint32 {
	return binary.LittleEndian.Uint32(p.data[at+wordSize*i:])
}

// value returns the value that a word of form single stands for: the offset of its
// length, which the bytes follow. It is not to be changed.
func (p *pool) value(word uint32) []byte {
	n, size := uint32(p.data[word]), uint32(1)
	if n >= 0x80 {
		long, used := binary.Uvarint(p.data[word:])
		n, size = uint32(long), uint32(used)
	}
	return p.data[word+size : word+size+n]
}

// put appends words and returns their offset.
func (p *pool) put(words ...uint32) (at uint32) {
	at = p.end()
	for _, w := range words {
		p.data = binary.LittleEndian.AppendUint32(p.data, w)
	}
	return at
}

func (p *pool) end() uint32 {
	if len(p.data) > math.MaxUint32/2 {
		panic("BUG: a policy of 2 GiB passed the parser")
	}
	return uint32(len(p.data))
}

// value returns the word for a value, the same for equal ones.
func (c *compiler) value(v string) uint32 {
	word, ok := c.values[v]
	if !ok {
		word = c.pool.end()
		c.pool.data = printString(c.pool.data, v)
		c.values[v] = word
	}
	return word
}

// set returns the word for a set of values or networks, the same for equal ones.
func (c *compiler) set(f form, values []string, nets []netip.Prefix) uint32 {
	c.buf = printSet(c.buf[:0], values, nets)
	if word, ok := c.sets[string(c.buf)]; ok {
		return word
	}
	key := string(c.buf)
	word := c.newSet(f, values, nets)
	c.sets[key] = word
	return word
}

func (c *compiler) newSet(f form, values []string, nets []netip.Prefix) (word uint32) {
	p := c.pool
	switch f {
	case networks:
		p.nets = append(p.nets, nets)
		return uint32(len(p.nets) - 1)
	case lookup:
		m := make(map[string]struct{}, len(values))
		for _, v := range values {
			m[v] = struct{}{}
		}
		p.lookups = append(p.lookups, m)
		return uint32(len(p.lookups) - 1)
	case list: // how many, then a word for each
		words := []uint32{uint32(len(values))}
		for _, v := range values {
			words = append(words, c.value(v))
		}
		return p.put(words...)
	case nothing, single, windows, expression:
	}
	panic("BUG: a form without a set")
}
