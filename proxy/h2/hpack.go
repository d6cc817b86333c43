package h2

import (
	"errors"

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
	for err == nil && len(block) > 0 {
		n := len(block)
		if isUpdate(block[0]) { // alone, because the decoder takes one at the start only
			_, rest, _ := readInt(block, 5)
			n -= len(rest)
		}
		if _, err = c.dec.h.Write(block[:n]); err == nil {
			err = c.dec.h.Close()
		}
		block = block[n:]
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
		case isUpdate(first):
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

// isUpdate reports whether a size update begins there, RFC 7541 section 6.3.
func isUpdate(b byte) bool { return b&0xe0 == 0x20 }

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
