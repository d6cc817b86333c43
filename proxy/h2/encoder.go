package h2

import (
	"golang.org/x/net/http2/hpack"
)

// encoder is the HPACK state of what we send. A field goes into the table when it comes for the second time on
// the connection: what never comes again pushes nothing out, and costs no memory. What is seen once is a plain literal.
type encoder struct {
	h       *hpack.Encoder
	words   *words
	out     []byte // the block that is being encoded; Write appends to it
	resized bool   // a size update is due, which must be first in the next block
	lower   []byte
	seen    [32][4]uint32 // tags of what came, by hash; the first two of a set came more than once
	turn    uint8
}

func newEncoder(w *words, table uint32) *encoder {
	e := &encoder{words: w}
	e.h = hpack.NewEncoder(e)
	if table < defaultTable {
		e.resize(table)
	}
	return e
}

func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// resize follows the peer's HEADER_TABLE_SIZE. By way of 0, which empties the table: where a block begins with two size updates, as it
// must after two changes, some decoders take the second one only if the table is empty.
func (e *encoder) resize(to uint32) {
	e.h.SetMaxDynamicTableSize(0)
	e.h.SetMaxDynamicTableSize(to)
	e.resized = true
}

func (e *encoder) field(f *Field) {
	name := f.Name
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name = e.lowered(name, i)
			break
		}
	}
	pseudo := len(name) > 0 && name[0] == ':'
	secret := f.Sensitive || isSecret(name)
	hn := hash(name)
	hv := uint64(0)
	indexed := !secret && len(f.Value) <= maxWord && len(name) <= maxWord
	if indexed {
		hv = hash(f.Value)
		indexed = e.again(hn<<1^hv) || pseudo && len(f.Value) <= 8 // methods, schemes, statuses
	}
	if !indexed && !e.resized {
		e.literal(name, f.Value, secret)
		return
	}
	e.resized = false
	h := hpack.HeaderField{Sensitive: secret || !indexed}
	if indexed {
		h.Name, h.Value = e.words.get(hn, name), e.words.get(hv, f.Value)
	} else { // rare: the library must write its size update first
		h.Name, h.Value = string(name), string(f.Value)
	}
	e.h.WriteField(h) // Write does not fail
}

func (e *encoder) lowered(name []byte, from int) []byte {
	e.lower = append(e.lower[:0], name...)
	for i := from; i < len(e.lower); i++ {
		if c := e.lower[i]; 'A' <= c && c <= 'Z' {
			e.lower[i] = c + 'a' - 'A'
		}
	}
	return e.lower
}

// again reports whether the hash was there before, and remembers it. What came once only takes the place of what came once, so
// that values which never come again do not push out those that do.
func (e *encoder) again(hash uint64) bool {
	set, tag := &e.seen[hash%uint64(len(e.seen))], uint32(hash>>32)
	e.turn++
	at := &set[e.turn&1]
	for i := range set {
		if set[i] == tag {
			if i > 1 {
				set[i], *at = *at, tag
			}
			return true
		}
	}
	set[2+e.turn&1] = tag
	return false
}

// isSecret names the fields whose values are never indexed, RFC 7541 section 7.1.3.
func isSecret(name []byte) bool {
	switch string(name) {
	case "authorization", "proxy-authorization", "cookie", "set-cookie":
		return true
	}
	return false
}

// literal writes a field that is not to be in the table, RFC 7541 sections 6.2.2 and 6.2.3, without Huffman:
// it saves us time and costs the link a fifth of what is not repeated.
func (e *encoder) literal(name, value []byte, never bool) {
	first := byte(0)
	if never {
		first = 0x10
	}
	if i, ok := staticNames[string(name)]; ok {
		e.out = appendInt(e.out, 4, first, uint64(i))
	} else {
		e.out = append(e.out, first)
		e.out = append(appendInt(e.out, 7, 0, uint64(len(name))), name...)
	}
	e.out = append(appendInt(e.out, 7, 0, uint64(len(value))), value...)
}

// appendInt appends an integer behind the bits of first, RFC 7541 section 5.1.
func appendInt(dst []byte, bits int, first byte, n uint64) []byte {
	most := uint64(1)<<bits - 1
	if n < most {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// staticNames holds an index of the static table for each name in it, RFC 7541 appendix A.
var staticNames = map[string]uint8{
	":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8,
	"accept-charset": 15, "accept-encoding": 16, "accept-language": 17, "accept-ranges": 18, "accept": 19,
	"access-control-allow-origin": 20, "age": 21, "allow": 22, "authorization": 23, "cache-control": 24,
	"content-disposition": 25, "content-encoding": 26, "content-language": 27, "content-length": 28,
	"content-location": 29, "content-range": 30, "content-type": 31, "cookie": 32, "date": 33, "etag": 34,
	"expect": 35, "expires": 36, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
	"if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "last-modified": 44, "link": 45,
	"location": 46, "max-forwards": 47, "proxy-authenticate": 48, "proxy-authorization": 49, "range": 50,
	"referer": 51, "refresh": 52, "retry-after": 53, "server": 54, "set-cookie": 55,
	"strict-transport-security": 56, "transfer-encoding": 57, "user-agent": 58, "vary": 59, "via": 60,
	"www-authenticate": 61,
}
