package h1

import (
	"bytes"
	"time"
)

// Response is a parsed response head. All slices alias the input of Parse. The zero
// value is ready; it may be used again and keeps the memory of Fields.
type Response struct {
	Minor  uint8  // 0 or 1
	Status int    // 100 to 599
	Reason []byte // reason phrase, may be empty
	Fields []Field

	Body BodyKind // how the body that follows is framed
	// Length is the announced Content-Length, -1 if there is none. Body says whether
	// that many bytes follow: an answer to HEAD and a 304 may announce without sending.
	Length int64

	KeepAlive        bool          // the connection may be used again after the body
	KeepAliveTimeout time.Duration // what the peer announced by Keep-Alive: timeout=N; 0 is none
	Upgrade          []byte        // the protocols of a response with Connection: upgrade, HTTP/1.1 only; else nil
}

// Parse reads one response head from the start of b; toHEAD says that it answers a
// HEAD request. The result is as for [Request.Parse], with Status 502 in each error.
//
// Each 1xx is a response of its own, 101 included: whether one was asked for is for
// the caller to judge. An answer to CONNECT is not supported.
func (r *Response) Parse(b []byte, toHEAD bool, lim Limits) (n int, err error) {
	*r = Response{Fields: r.Fields[:0]}
	n, bad := r.parse(b, toHEAD, lim.orDefaults())
	if bad != nil {
		return 0, badResponse(bad)
	}
	return n, nil
}

func (r *Response) parse(b []byte, toHEAD bool, lim Limits) (int, *Error) {
	const begin = "HTTP/1."
	if k := min(len(b), len(begin)); string(b[:k]) != begin[:k] {
		return 0, errStatusLine // at once: this peer does not speak HTTP/1
	}
	line, next, err := cutLine(b, 0, lim.Line, errFieldTooLong)
	if next == 0 && len(b) > lim.Head && err == nil {
		err = errFieldTooLong
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
	return n, r.settle(&h, toHEAD)
}

// parseLine reads "version SP status SP [reason]", RFC 9112 section 4. The second
// space may be absent if there is no reason phrase: nothing is ambiguous about that,
// and some servers do it.
func (r *Response) parseLine(line []byte) *Error {
	if i := badControl(line); i >= 0 {
		return controlError(line[i])
	}
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return errStatusLine
	}
	minor, err := parseVersion(line[:8])
	if err != nil {
		return err
	}
	r.Minor = minor
	status, ok := parseLength(line[9:12])
	if !ok || status < 100 || status > 599 {
		return errStatusLine
	}
	r.Status = int(status)
	if len(line) > 13 {
		r.Reason = line[13:]
	}
	return nil
}

// settle finds the body by the rules of RFC 9112 section 6.3, in their order.
func (r *Response) settle(h *head, toHEAD bool) *Error {
	r.Length = h.length
	r.KeepAlive = h.persists()
	r.KeepAliveTimeout = keepAliveTimeout(h.keepField)
	if h.upgrade && r.Minor == 1 {
		r.Upgrade = h.protocols
	}
	switch {
	case r.Status < 200, r.Status == 204:
		// RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid both fields here. Whoever
		// announces bytes would send them, and they would be read as the next response.
		if h.te || h.length > 0 {
			return errNoBodyFramed
		}
	case r.Status == 304, toHEAD:
	case h.te:
		r.Body = BodyChunked
	case h.length > 0:
		r.Body = BodyLength
	case h.length < 0:
		r.Body, r.KeepAlive = BodyUntilClose, false
	}
	return nil
}

// keepAliveTimeout reads timeout=N (seconds) of a Keep-Alive field (RFC 2068 section
// 19.7.1). What is malformed counts as absent: the field is advice.
func keepAliveTimeout(v []byte) time.Duration {
	for p, rest, ok := nextElement(v); ok; p, rest, ok = nextElement(rest) {
		name, value, _ := bytes.Cut(p, []byte{'='})
		if !foldEqual(trim(name), "timeout") {
			continue
		}
		if n, ok := parseLength(trim(value)); ok && n <= 1<<31 {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

// Field returns the value of the first field of that name (lower case) and how many
// there are.
func (r *Response) Field(name string) (value []byte, count int) {
	return find(r.Fields, name)
}
