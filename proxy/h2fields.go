package proxy

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Heads between HTTP/2 and the form in which the walk has them, which is that of HTTP/1.1. What has no
// meaning on the other side is not carried over, and what could mean something else there is refused.

// compose fills l.req with a request head. end: nothing follows it. A CONNECT for a WebSocket becomes the GET with Upgrade that it
// would be in HTTP/1.1; what follows it is no body.
func (l *loop) compose(fields []h2.Field, end bool) *h1.Error {
	var method, scheme, authority, path, protocol []byte
	body := !end
	l.req.Fields = l.req.Fields[:0]
	for i := range fields {
		f := &fields[i]
		switch string(f.Name) {
		case ":method":
			method = f.Value
		case ":scheme":
			scheme = f.Value
		case ":authority":
			authority = f.Value
		case ":path":
			path = f.Value
		case ":protocol":
			protocol, body = f.Value, false
		case "content-length":
			if body && len(bytes.Trim(f.Value, "0")) == 0 {
				continue // the end has not come: behind this length an upstream would take the request for whole
			}
			fallthrough
		default:
			l.req.Fields = append(l.req.Fields, h1.Field{Name: f.Name, Value: f.Value})
		}
	}
	switch {
	case protocol != nil: // of CONNECT
		method = valueGET
		l.req.Fields = slices.DeleteFunc(l.req.Fields, isKey)
	case path == nil: // CONNECT: its target is the authority
		path = authority
	}
	err := l.req.Compose(method, path, authority, body, l.cfg.Limits)
	l.req.Scheme = scheme
	switch {
	case err != nil:
		return err.(*h1.Error)
	case protocol != nil && !isWebSocket(protocol):
		return errProtocol
	case protocol != nil:
		l.req.Upgrade = protocolWebSocket
	}
	return nil
}

// isKey: RFC 8441 section 5 has no use for it, and ours goes upstream.
func isKey(f h1.Field) bool { return string(f.Name) == "sec-websocket-key" }

// h2Fields is a response head as HTTP/2 has it; valid until the next call. own: it is one that we made.
func (l *loop) h2Fields(r *h1.Response, own bool) []h2.Field {
	l.names, l.fields = l.names[:0], l.fields[:0]
	at := len(l.names)
	l.names = strconv.AppendInt(l.names, int64(r.Status), 10)
	l.fields = append(l.fields, h2.Field{Name: statusName, Value: l.names[at:]})
	dropLength := r.Status < 200 || r.Status == 204
	dated := r.Status < 200
	for i := range r.Fields {
		f := &r.Fields[i]
		dated = dated || f.ID == h1.Date
		if f.Hop || dropLength && f.ID == h1.ContentLength || !own && ours(f.Name) {
			continue
		}
		l.appendField(f)
	}
	if !dated {
		line := l.date.at(l.now())
		l.fields = append(l.fields, h2.Field{Name: dateName, Value: line[len("Date: ") : len(line)-2]})
	}
	return l.fields
}

var (
	valueGET   = []byte("GET")
	valueHEAD  = []byte("HEAD")
	statusName = []byte(":status")
	dateName   = []byte("date")
)

// h2Trailers is what was let through of trailers.
func (l *loop) h2Trailers(fields []h1.Field) []h2.Field {
	l.names, l.fields = l.names[:0], l.fields[:0]
	for i := range fields {
		l.appendField(&fields[i])
	}
	return l.fields
}

// appendField adds a field under its name in lower case.
func (l *loop) appendField(f *h1.Field) {
	at := len(l.names)
	for _, b := range f.Name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		l.names = append(l.names, b)
	}
	l.fields = append(l.fields, h2.Field{Name: l.names[at:len(l.names):len(l.names)], Value: f.Value,
		Sensitive: f.ID == h1.SetCookie || f.ID == h1.Authorization})
}

// ownFields copies trailers, and leaves out what must not stand there.
func ownFields(dst []h1.Field, fields []h2.Field) []h1.Field {
	n := 0
	for i := range fields {
		n += len(fields[i].Name) + len(fields[i].Value)
	}
	text := make([]byte, 0, n)
	own := func(b []byte) []byte {
		at := len(text)
		text = append(text, b...)
		return text[at:len(text):len(text)]
	}
	for i := range fields {
		dst = append(dst, h1.Field{Name: own(fields[i].Name), Value: own(fields[i].Value)})
	}
	return h1.Mark(dst)
}
