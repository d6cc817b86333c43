package proxy

import (
	"bytes"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// gRPC over HTTP/2. Calls are forwarded as what they are, streams with trailers. What differs is what we say
// ourselves, since a gRPC client looks for its status in grpc-status, and that a call brings its deadline along.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

// isGRPC reports whether a request is a call.
func isGRPC(r *h1.Request) bool {
	const kind = "application/grpc"
	v, n := r.Field("content-type")
	if n != 1 || len(v) < len(kind) || !bytes.EqualFold(v[:len(kind)], []byte(kind)) {
		return false
	}
	return len(v) == len(kind) || v[len(kind)] == '+' || v[len(kind)] == ';'
}

// grpcTimeout is the deadline that a call brings, from now; false: it has none that is well-formed.
func grpcTimeout(r *h1.Request) (time.Duration, bool) {
	v, n := r.Field("grpc-timeout")
	if n != 1 || len(v) < 2 || len(v) > 9 { // at most eight digits and a unit
		return 0, false
	}
	var unit time.Duration
	switch v[len(v)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	var d time.Duration
	for _, c := range v[:len(v)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		d = d*10 + time.Duration(c-'0')
	}
	if d > maxGRPCTimeout/unit {
		return maxGRPCTimeout, true
	}
	return d * unit, true
}

// maxGRPCTimeout is for ever, as far as a connection is concerned.
const maxGRPCTimeout = 10_000 * time.Hour

// grpcCode is the status of a call that we answer: what the protocol's table says of an answer with that status
// but for those that we know better.
func grpcCode(r *response) int {
	const (
		deadlineExceeded = 4
		permissionDenied = 7
		unimplemented    = 12
		internal         = 13
		unavailable      = 14
		unauthenticated  = 16
	)
	switch r.status {
	case 401:
		return unauthenticated
	case 403:
		return permissionDenied
	case 404, 405, 501:
		return unimplemented
	case 502, 503:
		return unavailable
	case 504:
		if r.reason == reasonGRPCTimeout {
			return deadlineExceeded
		}
		return unavailable
	}
	return internal
}

const reasonGRPCTimeout = "grpc_timeout"

// respondToCall answers a call: head and trailers are one.
func (st *h2Stream) respondToCall(r *response) {
	l, x := st.c.l, st.x
	l.names, l.fields = l.names[:0], l.fields[:0]
	add := func(name, value string) {
		at := len(l.names)
		l.names = append(l.names, name...)
		mid := len(l.names)
		l.names = append(l.names, value...)
		l.fields = append(l.fields, h2.Field{Name: l.names[at:mid:mid], Value: l.names[mid:len(l.names):len(l.names)]})
	}
	add(":status", "200")
	add("content-type", "application/grpc")
	add("grpc-status", strconv.Itoa(grpcCode(r)))
	add("grpc-message", grpcMessage(r.text))
	for _, f := range r.fields {
		if f.Name == "Retry-After" {
			add("grpc-retry-pushback-ms", f.Value+"000")
		}
	}
	add("x-sluice-reason", r.reason)
	add("x-request-id", string(x.id.bytes()))
	line := l.date.at(l.now())
	add("date", string(line[len("Date: "):len(line)-2]))
	st.headSent, st.ended = true, true
	if st.s != nil {
		st.s.Head(l.fields, true)
	}
}

// grpcMessage is a text as grpc-message has it: what is not plain is percent-encoded.
func grpcMessage(text string) string {
	var b []byte
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			const digits = "0123456789ABCDEF"
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// startDeadline bounds a call by the time that it brings.
func (st *h2Stream) startDeadline() {
	if d, ok := grpcTimeout(&st.c.l.req); ok {
		st.arm(timerDeadline, max(d, time.Nanosecond))
	}
}

// deadline: the client waits no longer, whoever is slow.
func (st *h2Stream) deadline() {
	x := st.x
	switch {
	case !x.running():
	case x.headSent:
		st.drop(errGRPCTimeout)
	default:
		x.replyLate(response{status: 504, reason: reasonGRPCTimeout, text: "the deadline of the call passed (grpc-timeout)"})
	}
}

// overdue is the call of an exchange whose deadline has passed, though the timer did not say so yet; nil: there is none.
func (x *exchange) overdue() *h2Stream {
	if st, ok := x.c.(*h2Stream); ok && reached(st.due[timerDeadline], x.l.now()) {
		return st
	}
	return nil
}
