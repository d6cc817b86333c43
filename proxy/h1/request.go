package h1

import "bytes"

// Request is a parsed request head. All slices alias the input of Parse and are valid
// as long as it is. The zero value is ready; one Request serves any number of
// messages, one after the other, and keeps the memory of Fields.
type Request struct {
	Method   []byte     // a token, case-sensitive
	Target   []byte     // the request target as sent
	Form     TargetForm // which of the four forms Target has
	Path     []byte     // not normalised; "/" if absent; "*" for Asterisk; nil for Authority
	Query    []byte     // without '?'
	HasQuery bool       // a '?' was there: "/a?" is not "/a"
	Scheme   []byte     // of Absolute only
	Host     []byte     // effective authority as sent, with port; valid; nil only in HTTP/1.0 without one

	Minor  uint8 // 0 or 1
	Fields []Field

	Body    BodyKind // BodyNone, BodyLength or BodyChunked
	Length  int64    // bytes of the body; 0 without, -1 chunked
	Chunked bool     // Body == BodyChunked

	KeepAlive bool // the connection may be used again after this exchange
	Expect100 bool // the client waits for 100 before it sends the body (never with HTTP/1.0 or without a body)
	Trailers  bool // the client takes trailer fields (TE: trailers)
	// Upgrade is the list of protocols that an HTTP/1.1 client asks for with
	// Connection: upgrade; nil otherwise.
	Upgrade []byte
}

// Parse reads one request head from the start of b. It returns the length of the head;
// 0 and nil: incomplete, call again with the same bytes and more (see [HeadScanner]
// for slow clients). An error is always an *[Error]; nothing is known about where the
// next message starts, so the connection must end. One empty line before the request
// line is skipped (RFC 9112 section 2.2) and counts in the length.
//
// After an error the Request holds what was read so far, for the log; it must not be acted upon.
func (r *Request) Parse(b []byte, lim Limits) (n int, err error) {
	*r = Request{Fields: r.Fields[:0]}
	n, bad := r.parse(b, lim.orDefaults())
	if bad != nil {
		return 0, bad
	}
	return n, nil
}

func (r *Request) parse(b []byte, lim Limits) (int, *Error) {
	at, err := skipEmptyLine(b)
	if err != nil || at == len(b) && at <= lim.Head {
		return 0, err
	}
	line, next, err := cutLine(b, at, lim.Line, errLineTooLong)
	if next == 0 && len(b) > lim.Head && err == nil {
		err = errLineTooLong
	}
	if err != nil || next == 0 {
		return 0, err
	}
	if err := r.parseLine(line); err != nil {
		return 0, err
	}
	h := head{lim: lim, minor: r.Minor}
	fields, n, err := h.parse(b, next, r.Fields)
	r.Fields = fields
	if err != nil || n == 0 {
		return 0, err
	}
	return n, r.settle(&h)
}

// skipEmptyLine steps over at most one CRLF and refuses what cannot begin a request,
// so that a TLS ClientHello or a stray LF is answered at once and not by a timeout.
func skipEmptyLine(b []byte) (at int, err *Error) {
	if len(b) > 0 && b[0] == '\r' {
		if len(b) == 1 {
			return 1, nil
		}
		if b[1] != '\n' {
			return 0, errBareCR
		}
		at = 2
	}
	if at < len(b) && class[b[at]]&isToken == 0 {
		if b[at] == '\n' {
			return 0, errBareLF
		}
		return 0, errMethod
	}
	return at, nil
}

// parseLine reads "method SP target SP version", RFC 9112 section 3.
func (r *Request) parseLine(line []byte) *Error {
	if i := badControl(line); i >= 0 {
		return controlError(line[i])
	}
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first < 0 || last == first { // the second is HTTP/0.9
		return errRequestLine
	}
	r.Method, r.Target = line[:first], line[first+1:last]
	if !all(r.Method, isToken) {
		return errMethod
	}
	minor, err := parseVersion(line[last+1:])
	if err != nil {
		return err
	}
	r.Minor = minor
	return r.parseTarget()
}

// parseVersion reads "HTTP/1.0" or "HTTP/1.1". Any other well-formed version is a
// 505, the HTTP/2 preface among them; a malformed one is a 400.
func parseVersion(v []byte) (minor uint8, err *Error) {
	if len(v) != 8 || string(v[:5]) != "HTTP/" || v[6] != '.' || !isDigit(v[5]) || !isDigit(v[7]) {
		return 0, errRequestLine
	}
	if v[5] != '1' || v[7] > '1' {
		return 0, errVersion
	}
	return v[7] - '0', nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// settle derives host, body and connection from the fields.
func (r *Request) settle(h *head) *Error {
	if err := r.settleHost(h); err != nil {
		return err
	}
	switch {
	case h.te:
		r.Body, r.Chunked, r.Length = BodyChunked, true, -1
	case h.length > 0:
		r.Body, r.Length = BodyLength, h.length
	}
	r.KeepAlive = h.persists()
	r.Trailers = h.teTrailers && r.Minor == 1
	r.Expect100 = h.expect && r.Minor == 1 && r.Body != BodyNone
	if h.upgrade && r.Minor == 1 {
		r.Upgrade = h.protocols
	}
	return nil
}

// settleHost finds the effective authority, RFC 9112 sections 3.2 and 3.3.
func (r *Request) settleHost(h *head) *Error {
	switch {
	case h.hosts > 1:
		return errHostRepeated
	case h.hosts == 0 && r.Minor == 1:
		return errHostMissing
	case h.hosts == 1 && !validAuthority(h.host):
		return errHostInvalid
	}
	if r.Host == nil {
		r.Host = h.host
		return nil
	}
	// Section 3.2.2 would have a proxy ignore Host; whoever sends two answers to the
	// question "which host?" is refused instead.
	if r.Form != Authority && h.hosts == 1 && !sameAuthority(r.Host, h.host, r.Scheme) {
		return errHostMismatch
	}
	return nil
}

// Field returns the value of the first field of that name (lower case) and how many
// there are.
func (r *Request) Field(name string) (value []byte, count int) {
	return find(r.Fields, name)
}
