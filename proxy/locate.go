package proxy

import (
	"bytes"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// locate finds the route by the one normal form of host and path.
func (x *exchange) locate() {
	l, r := x.l, &x.l.req
	x.beginRecord()
	hops, limited, valid := maxForwards(x.method, r)
	switch {
	case r.Form == h1.Authority:
		x.reply(response{status: 501, reason: "connect", text: "CONNECT is not offered here", close: true})
		return
	case x.method == methodTRACE:
		x.reply(response{status: 405, reason: "trace", text: "TRACE is not offered here", close: true})
		return
	case x.method == methodOther && miscased(r.Method):
		x.reply(response{status: 400, reason: "method_case", text: "a method is written in capitals"})
		return
	case r.Form == h1.Asterisk:
		x.reply(response{status: 400, reason: "asterisk", text: "OPTIONS * addresses no route"})
		return
	case asksForAnotherMethod(r):
		x.reply(response{status: 400, reason: "method_override", text: "a field asks for another method than the request line", close: true})
		return
	case !valid:
		x.reply(response{status: 400, reason: "max_forwards", text: "Max-Forwards is not one number", close: true})
		return
	case limited && hops == 0:
		x.reply(response{status: 200, reason: "max_forwards", text: "this is as far as Max-Forwards lets the request go"})
		return
	}
	host, port, err := route.NormalizeHost(l.hostBuf[:0], r.Host)
	if err != nil && len(r.Host) > 0 {
		x.reply(response{status: 400, reason: "host", text: err.Error(), close: true})
		return
	}
	if x.d.misdirected(host) {
		x.reply(response{status: 421, reason: "misdirected", text: "the certificate of this connection does not stand for that host"})
		return
	}
	if x.lapsed() {
		return
	}
	path, err := route.Normalize(l.pathBuf[:0], r.Path, route.PathOptions{PathParameters: true})
	if err != nil {
		x.reply(response{status: 400, reason: "path", text: err.Error(), close: true})
		return
	}
	x.recordTarget(host, path)
	if l.ownPath(path) {
		x.visit(host, path)
		return
	}
	name := x.method.name(r.Method)
	i, outcome := x.snap.table.Match(host, path, name)
	if outcome != route.Found { // what the exchange before was on no longer holds
		x.c.located()
	}
	switch {
	case outcome == route.MethodNotAllowed:
		x.remember(405, authz.Decision{Reason: "method", Rule: -1}, name, host, path)
		x.reply(response{status: 405, reason: "method", text: "no route of this path takes that method",
			fields: []h1.Header{{Name: "Allow", Value: x.snap.table.Allow(i)}}})
		return
	case outcome != route.Found:
		x.remember(404, authz.Decision{Reason: "no_route", Rule: -1}, name, host, path)
		x.reply(response{status: 404, reason: "no_route", text: "no route matches this host and path"})
		return
	}
	x.route = &x.snap.routes[i]
	if !x.snap.allowsParameters(host, path, name, i) {
		x.remember(400, authz.Decision{Reason: "path", Rule: -1}, name, host, path)
		x.reply(response{status: 400, reason: "path", text: "the path holds path parameters (;), which this route does not allow", close: true})
		return
	}
	l.areq = authz.Request{Route: x.route.Name, Method: name, Host: host, Authority: r.Host, Path: path, Query: r.Query,
		Time: l.now(), Source: x.source(), Secure: x.secure(), Fields: r, Certificate: x.d.proof.certificate(), Preflight: isPreflight(name, r)}
	l.port, x.stage = port, 0
	x.c.located()
	x.authenticate()
}

// relocate fills l.areq again for the route that was found before. The snapshot of
// the exchange stays the one it began with.
func (x *exchange) relocate() {
	l, r := x.l, &x.l.req
	host, port, _ := route.NormalizeHost(l.hostBuf[:0], r.Host)
	path, _ := route.Normalize(l.pathBuf[:0], r.Path, route.PathOptions{PathParameters: true})
	name := x.method.name(r.Method)
	l.areq = authz.Request{Route: x.route.Name, Method: name, Host: host, Authority: r.Host, Path: path,
		Query: r.Query, Time: l.now(), Source: x.source(), Secure: x.secure(), Fields: r, Certificate: x.d.proof.certificate(), Preflight: isPreflight(name, r)}
	l.port = port
}

// isPreflight reports whether a request is a CORS-preflight request of the Fetch standard.
func isPreflight(method string, r *h1.Request) bool {
	if method != "OPTIONS" {
		return false
	}
	origin, origins := r.Field("origin")
	wanted, methods := r.Field("access-control-request-method")
	return origins == 1 && methods == 1 && len(origin) > 0 && len(wanted) > 0
}

// allowsParameters reports whether a path has no parameters, or may keep them: its route allows them,
// and a server that cuts them off finds a path of the same route ("/admin;x" is its "/admin").
func (s *Snapshot) allowsParameters(host, path []byte, method string, found int) bool {
	if bytes.IndexByte(path, ';') < 0 {
		return true
	}
	if !s.routes[found].PathParameters {
		return false
	}
	bare, err := route.Normalize(nil, route.WithoutParameters(path), route.PathOptions{})
	if err != nil {
		return false
	}
	i, outcome := s.table.Match(host, bare, method)
	return outcome == route.Found && i == found
}
