package h1

// Compose fills r from a request head that another protocol framed (HTTP/2), by the rules that
// Parse has for text: what passes here could have been sent as HTTP/1.1. r.Fields holds names and values, which
// it marks. authority may be nil if there is a Host field; body says whether a body may follow, of the
// length that Content-Length says, or of unknown length.
//
// An error is always an *[Error]. Nothing is wrong with the connection then.
func (r *Request) Compose(method, target, authority []byte, body bool, lim Limits) error {
	*r = Request{Method: method, Target: target, Minor: 1, Fields: r.Fields}
	if err := r.compose(authority, body, lim.orDefaults()); err != nil {
		return err
	}
	return nil
}

func (r *Request) compose(authority []byte, body bool, lim Limits) *Error {
	if !all(r.Method, isToken) || len(r.Method) == 0 {
		return errMethod
	}
	if len(r.Target) == 0 {
		return errTarget
	}
	if len(r.Target) > lim.Line {
		return errLineTooLong
	}
	if err := r.parseTarget(); err != nil {
		return err
	}
	if len(r.Fields) > lim.Fields {
		return errTooManyFields
	}
	h := head{lim: lim, minor: 1, length: -1}
	if authority != nil {
		h.hosts, h.host = 1, authority
	}
	size := len(r.Target)
	for i := range r.Fields {
		f := &r.Fields[i]
		if size += len(f.Name) + len(f.Value); size > lim.Head {
			return errHeadTooLarge
		}
		if err := f.mark(); err != nil {
			return err
		}
		if f.ID == Other || f.ID == Host && authority != nil && sameAuthority(authority, f.Value, nil) {
			continue
		}
		if err := h.note(f); err != nil {
			return err
		}
	}
	if h.te || h.upgrade || h.options > 0 { // RFC 9113 section 8.2.2: none of them exists
		return errConnection
	}
	if err := r.settle(&h); err != nil {
		return err
	}
	return r.frame(&h, body)
}

// frame says how a body is framed by what was announced, and by whether one may follow.
func (r *Request) frame(h *head, body bool) *Error {
	switch {
	case !body && h.length > 0:
		return errLength
	case !body:
		r.Body, r.Length = BodyNone, 0
	case h.length >= 0:
		r.Body, r.Length = BodyLength, h.length
	default:
		r.Body, r.Length, r.Chunked = BodyChunked, -1, true
	}
	r.Expect100 = h.expect && body
	return nil
}

// mark checks a field that came as name and value.
func (f *Field) mark() *Error {
	if !all(f.Name, isToken) || len(f.Name) == 0 {
		return errFieldName
	}
	if i := badControl(f.Value); i >= 0 {
		return controlError(f.Value[i])
	}
	f.ID = identify(f.Name)
	f.Hop = props[f.ID]&hopByHop != 0
	return nil
}

// Mark fills ID and Hop of trailer fields that another protocol framed, and leaves out those that must not
// stand in a trailer section.
func Mark(fields []Field) []Field {
	kept := fields[:0]
	for _, f := range fields {
		if f.mark() == nil && !forbiddenTrailer(&f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// Compose fills r from the head of a final or informational response that another protocol framed, by the
// rules that Parse has for text. r.Fields holds names and values, which it marks. body: one may follow.
// An error is always an *[Error] with status 502.
func (r *Response) Compose(status int, body, toHEAD bool, lim Limits) error {
	*r = Response{Minor: 1, Status: status, Fields: r.Fields, Length: -1, KeepAlive: true}
	if err := r.compose(body, toHEAD, lim.orDefaults()); err != nil {
		return badResponse(err)
	}
	return nil
}

func (r *Response) compose(body, toHEAD bool, lim Limits) *Error {
	if r.Status < 100 || r.Status > 599 {
		return errStatus
	}
	if len(r.Fields) > lim.Fields {
		return errTooManyFields
	}
	h := head{lim: lim, minor: 1, length: -1}
	size := 0
	for i := range r.Fields {
		f := &r.Fields[i]
		if size += len(f.Name) + len(f.Value); size > lim.Head {
			return errHeadTooLarge
		}
		if err := f.mark(); err != nil {
			return err
		}
		if f.ID == Other {
			continue
		}
		if err := h.note(f); err != nil {
			return err
		}
	}
	if h.te || h.upgrade || h.options > 0 { // RFC 9113 section 8.2.2: none of them exists
		return errConnection
	}
	if err := r.settle(&h, toHEAD); err != nil {
		return err
	}
	r.KeepAlive, r.Upgrade = true, nil
	switch {
	case body && r.Length == 0 && !toHEAD && r.Status >= 200 && r.Status != 204 && r.Status != 304:
		r.Body = BodyLength // no byte, and trailers may follow
	case r.Body == BodyNone, !body && r.Length <= 0:
		r.Body = BodyNone
	case !body:
		return errLength
	case r.Length < 0:
		r.Body = BodyChunked
	}
	return nil
}
