package proxy

import "github.com/sluiceproxy/sluice/proxy/h1"

// Fields by which a request claims to be another one than was authorised: another
// target, another method, another source. Servers, frameworks and proxies believe them.

// claimPrefixes begin names that claim another target or host, or direct an upstream to
// a file of its own (X-Accel-Mapping, X-Sendfile-Type).
var claimPrefixes = [...]string{"x-original-", "x-rewrite-", "x-accel-", "x-sendfile"}

// claimNames are claims of another host, source or user. "Proxy" becomes HTTP_PROXY in
// a CGI environment ("httpoxy").
var claimNames = [...]string{"proxy", "x-host", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip",
	"cf-connecting-ip", "fastly-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr", "x-remote-user", "remote-user"}

// methodOverrides are the names by which a POST asks to be carried out as another method.
var methodOverrides = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

// claims reports whether a name is, or folds to, one that only a trusted hop may set.
func claims(name []byte) bool {
	if len(name) < len("proxy") {
		return false
	}
	for _, prefix := range claimPrefixes {
		if foldPrefix(name, prefix) {
			return true
		}
	}
	for _, claim := range claimNames {
		if fold(name, claim) {
			return true
		}
	}
	return false
}

// overridesMethod reports whether a field asks for another method than that of the
// request line, in any spelling that an upstream may fold to one that it knows.
func overridesMethod(name []byte) bool {
	for _, override := range methodOverrides {
		if fold(name, override) {
			return true
		}
	}
	return false
}

// asksForAnotherMethod reports whether any field does. It is not dropped but refused:
// without it the request would mean something that the client did not ask for.
func asksForAnotherMethod(r *h1.Request) bool {
	for i := range r.Fields {
		if r.Fields[i].ID == h1.Other && overridesMethod(r.Fields[i].Name) {
			return true
		}
	}
	return false
}

// maxForwards reads Max-Forwards of an OPTIONS request, RFC 9110 section 7.6.2: how many
// hops it may still take. present is false for any other method, where it means nothing.
func maxForwards(m methodID, r *h1.Request) (hops int, present, valid bool) {
	if m != methodOPTIONS {
		return 0, false, true
	}
	value, count := r.Field("max-forwards")
	if count == 0 {
		return 0, false, true
	}
	if count > 1 || len(value) == 0 || len(value) > 9 {
		return 0, true, false
	}
	for _, d := range value {
		if d < '0' || '9' < d {
			return 0, true, false
		}
		hops = hops*10 + int(d-'0')
	}
	return hops, true, true
}
