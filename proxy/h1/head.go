package h1

import "bytes"

// head is what the fields of one message say about framing and the connection.
// It lives on the stack of Parse.
type head struct {
	lim   Limits
	minor uint8

	host       []byte
	hosts      int
	length     int64 // -1: no Content-Length
	te         bool  // a Transfer-Encoding field; it is then exactly "chunked"
	close      bool  // connection option close
	keepAlive  bool  // connection option keep-alive
	upgrade    bool  // connection option upgrade
	options    int   // connection options seen
	nominated  bool  // some option is not one of those known here
	protocols  []byte
	expect     bool
	teTrailers bool
	keepField  []byte // value of Keep-Alive
}

// line cuts one line off b, which starts at from. next is the offset behind its LF,
// 0 if the LF is not there yet.
func cutLine(b []byte, from, limit int, tooLong *Error) (line []byte, next int, err *Error) {
	i := bytes.IndexByte(b[from:], '\n')
	if i < 0 {
		if len(b)-from > limit+1 { // its CR may be there already
			return nil, 0, tooLong
		}
		return nil, 0, nil
	}
	if i == 0 || b[from+i-1] != '\r' {
		return nil, 0, errBareLF
	}
	if i-1 > limit {
		return nil, 0, tooLong
	}
	return b[from : from+i-1], from + i + 1, nil
}

// parse reads field lines from offset at up to and with the empty line, appending
// to fields. n is the offset behind the head, 0 if it is incomplete.
func (h *head) parse(b []byte, at int, fields []Field) (_ []Field, n int, err *Error) {
	h.length = -1
	for {
		line, next, err := cutLine(b, at, h.lim.Line, errFieldTooLong)
		switch {
		case err != nil:
			return fields, 0, err
		case next == 0 && len(b) > h.lim.Head, next > h.lim.Head:
			return fields, 0, errHeadTooLarge
		case next == 0:
			return fields, 0, nil
		case len(line) == 0:
			return fields, next, h.settle(fields)
		case len(fields) >= h.lim.Fields:
			return fields, 0, errTooManyFields
		}
		fields = append(fields, Field{}) // filled in place: a Field is seven words
		f := &fields[len(fields)-1]
		if err := f.parse(line); err != nil {
			return fields[:len(fields)-1], 0, err
		}
		if f.ID != Other {
			if err := h.note(f); err != nil {
				return fields, 0, err
			}
		}
		at = next
	}
}

// parse splits one line without its CRLF, RFC 9112 section 5.
func (f *Field) parse(line []byte) *Error {
	if isSpace(line[0]) {
		return errObsFold // section 5.2: reject with 400 is one of the two choices
	}
	c := 0
	for c < len(line) && class[line[c]]&isToken != 0 {
		c++
	}
	switch {
	case c == len(line):
		return errNoColon
	case line[c] == ':' && c > 0:
	case isSpace(line[c]):
		return errSpaceColon // section 5.1: MUST reject
	default:
		if i := badControl(line); i >= 0 {
			return controlError(line[i])
		}
		return errFieldName
	}
	value := line[c+1:]
	if i := badControl(value); i >= 0 {
		return controlError(value[i])
	}
	id := identify(line[:c])
	f.Name, f.Value, f.ID, f.Hop = line[:c], trim(value), id, props[id]&hopByHop != 0
	return nil
}

// note takes from a known field what framing and the connection need.
func (h *head) note(f *Field) *Error {
	switch f.ID {
	case Host:
		h.hosts++
		h.host = f.Value
	case ContentLength:
		if h.length >= 0 {
			return errLengthRepeated
		}
		n, ok := parseLength(f.Value)
		if !ok {
			return errLength
		}
		h.length = n
	case TransferEncoding:
		if h.te {
			return errTERepeated
		}
		h.te = true
		if h.minor == 0 {
			return errTEMinor // RFC 9112 section 6.1: framing is faulty
		}
		if !foldEqual(f.Value, "chunked") {
			return codingError(f.Value)
		}
	case Connection:
		return h.noteOptions(f.Value)
	case KeepAlive:
		h.keepField = f.Value
	case Upgrade:
		if h.protocols != nil || !validProtocols(f.Value) {
			return errUpgrade
		}
		h.protocols = f.Value
	case Expect:
		if !foldEqual(f.Value, "100-continue") {
			return errExpect
		}
		h.expect = true
	case TE:
		for e, rest, ok := nextElement(f.Value); ok; e, rest, ok = nextElement(rest) {
			h.teTrailers = h.teTrailers || foldEqual(e, "trailers")
		}
	}
	return nil
}

func (h *head) noteOptions(list []byte) *Error {
	for option, rest, ok := nextElement(list); ok; option, rest, ok = nextElement(rest) {
		h.options++ // empty elements count too: they cost the same
		if h.options > maxOptions {
			return errConnection
		}
		switch {
		case len(option) == 0:
		case foldEqual(option, "close"):
			h.close = true
		case foldEqual(option, "keep-alive"):
			h.keepAlive = true
		case foldEqual(option, "upgrade"):
			h.upgrade = true
		case !all(option, isToken), props[identify(option)]&endToEnd != 0:
			return errConnection
		default:
			h.nominated = true
		}
	}
	return nil
}

// settle is called once all fields are known: the rules that look at more than one.
func (h *head) settle(fields []Field) *Error {
	if h.te && h.length >= 0 {
		return errLengthAndTE // RFC 9112 section 6.1: ought to be handled as an error
	}
	if h.nominated {
		h.nominate(fields)
	}
	return nil
}

// nominate marks the fields that Connection names. Bounded by maxOptions x Limits.Fields.
func (h *head) nominate(fields []Field) {
	for i := range fields {
		if fields[i].ID != Connection {
			continue
		}
		for option, rest, ok := nextElement(fields[i].Value); ok; option, rest, ok = nextElement(rest) {
			for j := range fields {
				if foldEqualBytes(fields[j].Name, option) {
					fields[j].Hop = true
				}
			}
		}
	}
}

// persists reports whether the connection outlives the message, RFC 9112 section 9.3.
func (h *head) persists() bool {
	return !h.close && (h.minor == 1 || h.keepAlive)
}

// parseLength reads 1*DIGIT. At most 18 digits: the sum of two such numbers cannot overflow.
func parseLength(v []byte) (int64, bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// codingError says what is wrong with a Transfer-Encoding that is not just "chunked".
// Where chunked is not the last coding, or applied twice, or where the value is no list of
// codings, nobody knows where the body ends: RFC 9112 section 6.3 wants 400. Another
// coding before a last chunked is framed well but not understood: section 6.1 wants 501.
func codingError(list []byte) *Error {
	last, others := false, false
	for coding, rest, ok := nextElement(list); ok; coding, rest, ok = nextElement(rest) {
		name, _, parameters := bytes.Cut(coding, []byte{';'})
		name = trim(name)
		switch {
		case last, !all(name, isToken): // something behind chunked; an empty or malformed element
			return errTEInvalid
		case !foldEqual(name, "chunked"):
			others = true
		case parameters: // section 7.1: it has none, and their presence is an error
			return errTEInvalid
		default:
			last = true
		}
	}
	if !last || !others {
		return errTEInvalid
	}
	return errTE
}

// validProtocols checks an Upgrade value: a list of token ["/" token], RFC 9110 section 7.8.
func validProtocols(list []byte) bool {
	some := false
	for p, rest, ok := nextElement(list); ok; p, rest, ok = nextElement(rest) {
		name, version, slashed := bytes.Cut(p, []byte{'/'})
		switch {
		case len(p) == 0:
		case !all(name, isToken), slashed && !all(version, isToken):
			return false
		default:
			some = true
		}
	}
	return some
}
