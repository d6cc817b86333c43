package proxy

import (
	"bytes"
	"strconv"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Heads between an upstream's HTTP/2 and the form in which the walk has them.

// composeResponse fills l.resp from a head.
func (l *loop) composeResponse(fields []h2.Field, body, toHEAD bool) *h1.Error {
	status := 0
	l.resp.Fields = l.resp.Fields[:0]
	for i := range fields {
		f := &fields[i]
		if string(f.Name) == ":status" {
			status, _ = strconv.Atoi(string(f.Value)) // the core has looked at it
			continue
		}
		l.resp.Fields = append(l.resp.Fields, h1.Field{Name: f.Name, Value: f.Value})
	}
	if err := l.resp.Compose(status, body, toHEAD, l.cfg.Limits); err != nil {
		return err.(*h1.Error)
	}
	return nil
}

// readSent fills l.sent with the head of x for HTTP/1.1: that one holds what was decided about every field, and it is still
// there for a second try.
func (l *loop) readSent(x *exchange) *h1.Request {
	r := &l.sent
	if _, err := r.Parse(x.head, ownLimits); err != nil {
		panic("a head of our own does not parse: " + err.Error()) // which ends this exchange only
	}
	return r
}

// requestFields is what readSent has read, as HTTP/2 has it. connect: it is the handshake of a WebSocket, and goes out as
// a CONNECT. Valid until the next call.
func (l *loop) requestFields(x *exchange, connect bool) []h2.Field {
	r := &l.sent
	l.names, l.fields = l.names[:0], l.fields[:0]
	scheme := schemeHTTP
	if x.d.ln.cfg.TLS != nil {
		scheme = schemeHTTPS
	}
	if connect {
		l.fields = append(l.fields, h2.Field{Name: nameMethod, Value: valueCONNECT}, h2.Field{Name: nameProtocol, Value: protocolWebSocket})
	} else {
		l.fields = append(l.fields, h2.Field{Name: nameMethod, Value: r.Method})
	}
	l.fields = append(l.fields, h2.Field{Name: nameScheme, Value: scheme}, h2.Field{Name: nameAuthority, Value: r.Host},
		h2.Field{Name: namePath, Value: r.Target})
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Hop || f.ID == h1.Host || connect && (f.ID == h1.ContentLength || bytes.EqualFold(f.Name, nameKey)) {
			continue
		}
		l.appendField(f)
	}
	if x.trailers && !connect {
		l.fields = append(l.fields, h2.Field{Name: nameTE, Value: valueTrailers})
	}
	return l.fields
}

// ownLimits are those of heads that we made: the configured ones are for those of others.
var ownLimits = h1.Limits{Head: 4 << 20, Line: 2 << 20, Fields: 20_000}

var (
	nameMethod, nameScheme, nameAuthority, namePath = []byte(":method"), []byte(":scheme"), []byte(":authority"), []byte(":path")
	nameProtocol, valueCONNECT, nameKey             = []byte(":protocol"), []byte("CONNECT"), []byte("sec-websocket-key")
	nameTE, valueTrailers                           = []byte("te"), []byte("trailers")
	schemeHTTP, schemeHTTPS                         = []byte("http"), []byte("https")
)
