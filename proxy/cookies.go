package proxy

import (
	"bytes"
	"slices"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// Cookies of ours are between a client and this proxy: no upstream sees one, and none sets one. They are looked for only
// where an authenticator keeps such cookies (authz.Renewer).

// cookiePrefix begins the names of our cookies. Browsers compare "__Host-" without regard to case, so we do.
const cookiePrefix = "__host-sluice_"

// ourCookie reports whether a cookie pair, or what a Set-Cookie begins with, has a name of ours. One without a name counts by
// its value: a browser may send that back without the '=' (RFC 6265bis section 5.7).
func ourCookie(pair []byte) bool {
	pair = bytes.TrimLeft(pair, " \t=")
	if len(pair) < len(cookiePrefix) {
		return false
	}
	for i, c := range pair[:len(cookiePrefix)] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != cookiePrefix[i] {
			return false
		}
	}
	return true
}

// appendCookies writes a Cookie field without ours; nothing if no other is in it.
func appendCookies(dst []byte, f *h1.Field) []byte {
	start, some := len(dst), false
	dst = append(dst, f.Name...)
	dst = append(dst, ": "...)
	for rest, more := f.Value, true; more; {
		var pair []byte
		pair, rest, more = bytes.Cut(rest, []byte{';'})
		pair = bytes.Trim(pair, " \t")
		if len(pair) == 0 || ourCookie(pair) {
			continue
		}
		if some {
			dst = append(dst, "; "...)
		}
		dst, some = append(dst, pair...), true
	}
	if !some {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

// hasOurs reports whether a Cookie field has one of ours.
func hasOurs(value []byte) bool {
	for rest, more := value, true; more; {
		var pair []byte
		pair, rest, more = bytes.Cut(rest, []byte{';'})
		if ourCookie(pair) {
			return true
		}
	}
	return false
}

// renew asks the authenticator that vouched whether its credential is to be renewed.
func (x *exchange) renew(a authz.Authenticator) {
	if r, ok := a.(authz.Renewer); ok {
		x.setCookie = r.Renew(x.identity, &x.l.areq)
	}
}

// guardCookies takes those of ours out of a response of the upstream, and adds what renews the client's credential.
func (x *exchange) guardCookies(r *h1.Response) {
	if !x.l.keepsCookies {
		return
	}
	dropCookies(r)
	if x.setCookie != "" {
		if shareable(r) {
			r.Fields = slices.DeleteFunc(r.Fields, func(f h1.Field) bool { return bytes.EqualFold(f.Name, nameCacheControl) })
			r.Fields = append(r.Fields, h1.Field{Name: nameCacheControl, Value: []byte("private")})
		}
		r.Fields = append(r.Fields, h1.Field{Name: nameSetCookie, Value: []byte(x.setCookie), ID: h1.SetCookie})
	}
}

// shareable reports whether a cache that many use may keep a response (RFC 9111 section 3): some keep its cookies as well, and
// would hand somebody's session to all. One that renews a credential is made private.
func shareable(r *h1.Response) bool {
	keeps := false
	for i := range r.Fields {
		f := &r.Fields[i]
		if !bytes.EqualFold(f.Name, nameCacheControl) {
			continue
		}
		v := bytes.ToLower(f.Value)
		for _, word := range []string{"private", "no-store", "no-cache", "max-age=0"} {
			if bytes.Contains(v, []byte(word)) && !bytes.Contains(v, []byte("s-maxage")) {
				return false
			}
		}
		keeps = keeps || bytes.Contains(v, []byte("public")) || bytes.Contains(v, []byte("max-age")) || bytes.Contains(v, []byte("s-maxage"))
	}
	return keeps
}

// passInterim passes on a 1xx of the upstream, which sets no cookie of ours either.
func (x *exchange) passInterim(r *h1.Response) {
	if x.l.keepsCookies {
		dropCookies(r)
	}
	x.c.interim(r)
}

// dropCookies takes those of ours out of a response.
func dropCookies(r *h1.Response) {
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		if f.ID != h1.SetCookie || !ourCookie(f.Value) {
			kept = append(kept, f)
		}
	}
	r.Fields = kept
}

var (
	nameSetCookie    = []byte("Set-Cookie")
	nameCacheControl = []byte("Cache-Control")
)
