package h2

// encoder is the HPACK state of what we send. A field goes into the table when it comes for the second time on
// the connection: what never comes again pushes nothing out, and costs no memory. What is seen once is a plain literal.
type encoder struct {
	words   *words
	out     []byte // the block that is being encoded
	table   table
	resized bool // a size update is due, which must be first in the next block
	lower   []byte
	seen    [32][4]uint32 // tags of what came, by hash; the first two of a set came more than once
	turn    uint8
}

func newEncoder(w *words, most uint32) *encoder {
	e := &encoder{words: w, table: table{most: defaultTable}}
	if most < defaultTable {
		e.resize(most)
	}
	return e
}

// resize follows the peer's HEADER_TABLE_SIZE. By way of 0, which empties the table: where a block begins with two size updates, as it
// must after two changes, some decoders take the second one only if the table is empty.
func (e *encoder) resize(to uint32) {
	e.table = table{most: int(to)}
	e.resized = true
}

// begin starts a block behind what out holds, RFC 7541 section 4.2.
func (e *encoder) begin(out []byte) {
	if e.out = out; !e.resized {
		return
	}
	e.resized = false
	e.out = appendInt(e.out, 5, 0x20, 0)
	if e.table.most > 0 {
		e.out = appendInt(e.out, 5, 0x20, uint64(e.table.most))
	}
}

func (e *encoder) field(f *Field) {
	name := f.Name
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name = e.lowered(name, i)
			break
		}
	}
	secret := f.Sensitive || isSecret(name)
	if secret || len(f.Value) > maxWord || len(name) > maxWord {
		e.literal(name, f.Value, secret)
		return
	}
	pseudo := len(name) > 0 && name[0] == ':'
	if pseudo {
		if i := staticPair(name, f.Value); i > 0 {
			e.out = append(e.out, 0x80|i)
			return
		}
	}
	hn, hv := hash(name), hash(f.Value)
	tag := hn<<1 ^ hv
	if i := e.table.find(tag, name, f.Value); i > 0 {
		e.out = appendInt(e.out, 7, 0x80, uint64(i))
		return
	}
	again := e.again(tag) || pseudo && len(f.Value) <= 8 // methods, schemes, statuses
	if again && e.table.add(tag, e.words.get(hn, name), e.words.get(hv, f.Value)) {
		e.strings(6, 0x40, name, f.Value) // RFC 7541 section 6.2.1
		return
	}
	e.literal(name, f.Value, false)
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
	case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key":
		return true
	}
	return false
}

// literal writes a field that is not to be in the table, RFC 7541 sections 6.2.2 and 6.2.3.
func (e *encoder) literal(name, value []byte, never bool) {
	first := byte(0)
	if never {
		first = 0x10
	}
	e.strings(4, first, name, value)
}

// strings writes a literal that begins with the bits of first, without Huffman: it saves us time and costs the link a
// fifth of what is not repeated.
func (e *encoder) strings(bits int, first byte, name, value []byte) {
	if i, ok := staticNames[string(name)]; ok {
		e.out = appendInt(e.out, bits, first, uint64(i))
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
