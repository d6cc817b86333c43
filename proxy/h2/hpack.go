package h2

import (
	"errors"
	"hash/maphash"

	"golang.org/x/net/http2/hpack"
)

// decoder is the HPACK state of what comes.
type decoder struct {
	h    *hpack.Decoder
	list *fieldList // of the block that is being decoded
}

func newDecoder() *decoder {
	d := &decoder{}
	d.h = hpack.NewDecoder(defaultTable, func(f hpack.HeaderField) {
		if !d.list.add(f.Name, f.Value, f.Sensitive) {
			d.h.SetEmitEnabled(false) // the rest is decoded for its state only
		}
	})
	return d
}

// decode decodes a whole block; unless want is set nobody is interested in its fields. It reports whether
// the connection lives on: after an error in a block nothing can be decoded any more (RFC 7541 section 2.2).
func (c *Conn) decode(list *fieldList, block []byte, want bool) bool {
	if c.dec == nil {
		c.dec = newDecoder()
	}
	list.maxBytes, list.maxFields = c.cfg.HeaderList, c.cfg.HeaderFields
	c.dec.list = list
	c.dec.h.SetEmitEnabled(want)
	err := judgeUpdates(block)
	if err == nil {
		_, err = c.dec.h.Write(block)
	}
	if err == nil {
		err = c.dec.h.Close()
	}
	c.dec.list = nil
	if err != nil {
		c.fail(CompressionError, BadCompression, "a header block cannot be decoded")
		return false
	}
	return true
}

var errUpdate = errors.New("a size update behind a field, or more than two")

// judgeUpdates checks that changes of the table's size stand before all fields and are at most two (RFC 7541 section 4.2),
// which the decoder does not. It steps over everything else, and leaves it to the decoder to judge.
func judgeUpdates(b []byte) error {
	updates, fields := 0, false
	for len(b) > 0 {
		ok := true
		switch first := b[0]; {
		case first&0x80 != 0: // an indexed field, section 6.1
			_, b, ok = readInt(b, 7)
			fields = true
		case first&0xe0 == 0x20: // a size update, section 6.3
			updates++
			if fields || updates > 2 {
				return errUpdate
			}
			_, b, ok = readInt(b, 5)
		default: // a literal, section 6.2
			bits := 4
			if first&0x40 != 0 {
				bits = 6
			}
			var index uint64
			index, b, ok = readInt(b, bits)
			if ok && index == 0 {
				b, ok = skipString(b)
			}
			if ok {
				b, ok = skipString(b)
			}
			fields = true
		}
		if !ok {
			return nil
		}
	}
	return nil
}

// readInt reads an integer with a prefix of so many bits, RFC 7541 section 5.1.
func readInt(b []byte, bits int) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	most := uint64(1)<<bits - 1
	n, b = uint64(b[0])&most, b[1:]
	if n < most {
		return n, b, true
	}
	for shift := 0; len(b) > 0 && shift < 56; shift += 7 {
		c := b[0]
		b = b[1:]
		n += uint64(c&0x7f) << shift
		if c < 0x80 {
			return n, b, true
		}
	}
	return 0, nil, false
}

func skipString(b []byte) (rest []byte, ok bool) {
	n, b, ok := readInt(b, 7)
	if !ok || n > uint64(len(b)) {
		return nil, false
	}
	return b[n:], true
}

// encoder is the HPACK state of what we send. A field goes into the table when it comes for the second time on
// the connection: what never comes again pushes nothing out, and costs no memory. What is seen once is a plain literal.
type encoder struct {
	h       *hpack.Encoder
	words   *words
	out     []byte // the block that is being encoded; Write appends to it
	resized bool   // a size update is due, which must be first in the next block
	lower   []byte
	seen    [16][4]uint32 // tags of what came, by hash
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

// resize follows the peer's HEADER_TABLE_SIZE.
func (e *encoder) resize(to uint32) {
	e.h.SetMaxDynamicTableSize(to)
	e.resized = true
}

// sendHead queues a header block of any kind.
func (c *Conn) sendHead(id uint32, fields []Field, end bool) {
	if c.enc == nil {
		c.enc = newEncoder(c.pool.vocabulary(), c.peerTable)
	}
	out := c.outgoing()
	at := len(out)
	f := frame{typ: frameHeaders, flags: flagEndHeaders, id: id}
	if end {
		f.flags |= flagEndStream
	}
	c.enc.out = appendFrame(out, f)
	for i := range fields {
		c.enc.field(&fields[i])
	}
	out, c.enc.out = c.enc.out, nil
	c.queue(cutBlock(out, at, f))
}

// cutBlock writes the length of the block that starts with f at out[at:], and makes CONTINUATION frames of what is
// too long for one frame.
func cutBlock(out []byte, at int, f frame) []byte {
	n := len(out) - at - headerLen
	if n <= minMaxFrame {
		out[at], out[at+1], out[at+2] = byte(n>>16), byte(n>>8), byte(n)
		return out
	}
	block := append([]byte(nil), out[at+headerLen:]...)
	out = out[:at]
	f.flags &^= flagEndHeaders
	for len(block) > 0 {
		f.length = min(len(block), minMaxFrame)
		if f.length == len(block) {
			f.flags |= flagEndHeaders
		}
		out = append(appendFrame(out, f), block[:f.length]...)
		block = block[f.length:]
		f.typ, f.flags = frameContinuation, 0
	}
	return out
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
	hn := maphash.Bytes(e.words.seed, name)
	hv := uint64(0)
	indexed := !secret && len(f.Value) <= maxWord && len(name) <= maxWord
	if indexed {
		hv = maphash.Bytes(e.words.seed, f.Value)
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

// again reports whether the hash was there before, and remembers it.
func (e *encoder) again(hash uint64) bool {
	set, tag := &e.seen[hash&15], uint32(hash>>32)
	for i := range set {
		if set[i] == tag {
			return true
		}
	}
	e.turn++
	set[e.turn&3] = tag
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
