package h1

import "bytes"

// TargetForm is one of the four forms of a request target, RFC 9112 section 3.2.
type TargetForm uint8

// The forms.
const (
	Origin    TargetForm = iota // "/path?query"
	Absolute                    // "http://host/path?query"; the schemes are http and https
	Authority                   // "host:port", CONNECT only
	Asterisk                    // "*", OPTIONS only (also OPTIONS of an absolute target without a path)
)

func (f TargetForm) String() string {
	switch f {
	case Origin:
		return "origin"
	case Absolute:
		return "absolute"
	case Authority:
		return "authority"
	case Asterisk:
		return "asterisk"
	}
	return "invalid"
}

var (
	star     = []byte("*")
	optionsM = []byte("OPTIONS")
	connectM = []byte("CONNECT")
)

// parseTarget splits r.Target by the form that the method and its first bytes decide.
func (r *Request) parseTarget() *Error {
	t := r.Target
	switch {
	case !all(t, isTarget):
		return errTarget
	case bytes.Equal(r.Method, connectM):
		name, port := SplitAuthority(t)
		if len(port) == 0 || len(name) == 0 || !validAuthority(t) {
			return errTarget
		}
		r.Form, r.Host = Authority, t
		return nil
	case t[0] == '/':
		r.Form = Origin
		r.splitQuery(t)
		return nil
	case len(t) == 1 && t[0] == '*':
		if !bytes.Equal(r.Method, optionsM) {
			return errTarget
		}
		r.Form, r.Path = Asterisk, t
		return nil
	}
	return r.parseAbsolute()
}

func (r *Request) parseAbsolute() *Error {
	t := r.Target
	i := bytes.IndexByte(t, ':')
	if i < 0 || !foldEqual(t[:i], "http") && !foldEqual(t[:i], "https") ||
		len(t) < i+3 || t[i+1] != '/' || t[i+2] != '/' {
		return errTarget
	}
	r.Form, r.Scheme = Absolute, t[:i]
	rest := t[i+3:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	r.Host = rest[:end]
	if bytes.IndexByte(r.Host, '@') >= 0 {
		return errUserinfo // RFC 9110 section 4.2.4: treat as an error
	}
	if !validAuthority(r.Host) {
		return errTarget
	}
	r.splitQuery(rest[end:])
	if len(r.Path) > 0 {
		return nil
	}
	if bytes.Equal(r.Method, optionsM) && !r.HasQuery {
		r.Form, r.Path = Asterisk, star // RFC 9112 section 3.2.4
		return nil
	}
	r.Path = t[i+1 : i+2] // the '/' of "://": an absent path is "/", and this one aliases the input
	return nil
}

func (r *Request) splitQuery(t []byte) {
	r.Path = t
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		r.Path, r.Query, r.HasQuery = t[:i], t[i+1:], true
	}
}
