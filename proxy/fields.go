package proxy

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/sluiceproxy/sluice/proxy/h1"
)

// The names under which an identity goes upstream. Whatever a client sends under one
// of them, or under a spelling that an upstream may fold to one, is removed first.
const (
	fieldUser   = "X-Sluice-User"
	fieldEmail  = "X-Sluice-Email"
	fieldGroups = "X-Sluice-Groups"
)

// appendRequestHead writes the head for the upstream: the request as it was
// authorised, without what was meant for us, with what we know.
func (x *exchange) appendRequestHead(dst []byte) []byte {
	l, r := x.l, &x.l.req
	trusted := x.fromTrusted()
	dst = h1.AppendRequestLine(dst, r.Method, l.areq.Path, r.Query, r.HasQuery)
	dst = append(dst, "Host: "...)
	dst = append(dst, l.areq.Host...)
	if len(l.areq.Host) == 0 {
		dst = append(dst, x.route.defaultHost()...)
	}
	if l.port > 0 {
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, int64(l.port), 10)
	}
	dst = append(dst, "\r\n"...)
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Hop || x.withheld(f, trusted) {
			continue
		}
		if f.ID == h1.Cookie && l.keepsCookies && hasOurs(f.Value) {
			dst = appendCookies(dst, f)
			continue
		}
		if f.ID == h1.MaxForwards && x.method == methodOPTIONS {
			hops, _, _ := maxForwards(x.method, r)
			dst = h1.AppendIntField(dst, f.Name, int64(hops-1))
			continue
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	dst = x.appendForwarded(dst, trusted)
	dst = append(dst, "Via: "...)
	dst = append(dst, x.version.String()...) // as it was received
	dst = append(dst, " sluice\r\nX-Request-ID: "...)
	dst = append(dst, x.id.bytes()...)
	dst = append(dst, "\r\n"...)
	if id := x.identity; id != nil {
		dst = appendIdentity(dst, fieldUser, id.User)
		dst = appendIdentity(dst, fieldEmail, id.Email)
		dst = appendGroups(dst, id.Groups)
		if l.cfg.Asserter != nil {
			dst = x.appendAssertion(dst)
		}
	}
	if x.chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if x.extended() {
		dst = x.appendHandshake(dst)
	}
	if x.upgrade {
		dst = append(dst, "Connection: upgrade\r\nUpgrade: "...)
		dst = append(dst, r.Upgrade...)
		dst = append(dst, "\r\n"...)
	}
	return h1.AppendEnd(dst)
}

// appendGroups writes those groups that are one element of a list for whoever splits it at commas and trims what
// is between (RFC 9110 section 5.6.1): "a,admins" and " admins" must not become admins. Rules see all.
func appendGroups(dst []byte, groups []string) []byte {
	some := false
	for _, g := range groups {
		if g == "" || strings.TrimSpace(g) != g || strings.ContainsFunc(g, func(r rune) bool { return r == ',' || unicode.IsControl(r) }) {
			continue
		}
		if some {
			dst = append(dst, ',')
		} else {
			dst = append(dst, fieldGroups+": "...)
		}
		dst, some = append(dst, g...), true
	}
	if some {
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendAssertion writes what an upstream can verify of the identity.
func (x *exchange) appendAssertion(dst []byte) []byte {
	l := x.l
	token := l.cfg.Asserter.Assert(x.identity, l.areq.Host, l.now())
	if token == "" {
		return dst
	}
	for _, name := range l.cfg.AssertionFields {
		dst = h1.AppendField(dst, name, token)
	}
	return dst
}

// asserted reports whether a name is, or folds to, one that carries an assertion of ours: nobody else may write it.
func (core *Core) asserted(name []byte) bool {
	for _, own := range core.assertionNames {
		if fold(name, own) {
			return true
		}
	}
	return false
}

func appendIdentity(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return h1.AppendField(dst, name, value)
}

// withheld reports whether a field of the request stays behind.
func (x *exchange) withheld(f *h1.Field, trusted bool) bool {
	switch f.ID {
	case h1.Host, h1.XRequestID, h1.XForwardedFor, h1.XForwardedProto, h1.XForwardedHost:
		return true // written anew
	case h1.Forwarded, h1.XRealIP:
		return !trusted
	case h1.Authorization:
		return x.route.hidesCredentials && x.identity != nil
	case h1.Other:
		return ours(f.Name) || x.l.asserted(f.Name) || !trusted && (forwardedName(f.Name) || claims(f.Name)) || fold(f.Name, "proxy") || x.route.hidesCredentials && fold(f.Name, "x-api-key")
	}
	return false
}

// ours reports whether a name is, or folds to, one that only we may set: servers map
// what is neither letter nor digit to '_' (CGI, WSGI), so every such spelling counts.
func ours(name []byte) bool {
	if foldPrefix(name, "x-sluice-") {
		return true
	}
	// The plain spellings of the others have an ID, or are a trusted hop's to set.
	if plainID(name) {
		return false
	}
	return foldPrefix(name, prefixForwarded) || fold(name, "x-request-id") || fold(name, "x-real-ip")
}

const prefixForwarded = "x-forwarded-"

// forwardedName reports whether a name is one of X-Forwarded-*, known to us or not: an
// upstream believes -Port, -Prefix or -User as it believes -For.
func forwardedName(name []byte) bool { return foldPrefix(name, prefixForwarded) }

// cleanTrailers drops the trailer fields that only we may set, and claims: a server that merges
// trailers into the head would take them for ours. The result is valid until the next call.
func (l *loop) cleanTrailers(fields []h1.Field) []h1.Field {
	l.trailers = l.trailers[:0]
	for i := range fields {
		if name := fields[i].Name; !fields[i].Hop && !ours(name) && !l.asserted(name) && !claims(name) && !overridesMethod(name) {
			l.trailers = append(l.trailers, fields[i])
		}
	}
	return l.trailers
}

// plainID: spelled with '-' only.
func plainID(name []byte) bool {
	for _, c := range name {
		if c != '-' && !alphanumeric(c) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// fold compares a field name with a lower-case one, taking every mark for '-'.
func fold(name []byte, low string) bool {
	return len(name) == len(low) && foldPrefix(name, low)
}

// foldPrefix reports whether name begins with low in the sense of fold.
func foldPrefix(name []byte, low string) bool {
	if len(name) < len(low) {
		return false
	}
	for i, c := range name[:len(low)] {
		switch {
		case !alphanumeric(c):
			c = '-'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != low[i] {
			return false
		}
	}
	return true
}

// appendForwarded writes X-Forwarded-For, -Proto and -Host: what a trusted hop said,
// continued; otherwise only what we saw.
func (x *exchange) appendForwarded(dst []byte, trusted bool) []byte {
	r := &x.l.req
	dst = append(dst, "X-Forwarded-For: "...)
	if trusted {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.ID == h1.XForwardedFor && len(f.Value) > 0 {
				dst = append(dst, f.Value...)
				dst = append(dst, ", "...)
			}
		}
	}
	dst = x.d.ends.remote.Addr().AppendTo(dst)
	dst = append(dst, "\r\nX-Forwarded-Proto: "...)
	proto := []byte(nil)
	host := r.Host
	if trusted {
		proto, _ = r.Field("x-forwarded-proto")
		if h, n := r.Field("x-forwarded-host"); n == 1 && len(h) > 0 {
			host = h
		}
	}
	if len(proto) > 0 {
		dst = append(dst, proto...)
	} else {
		dst = append(dst, x.d.ln.scheme()...)
	}
	dst = append(dst, "\r\n"...)
	if len(host) == 0 {
		return dst
	}
	dst = append(dst, "X-Forwarded-Host: "...)
	dst = append(dst, host...)
	return append(dst, "\r\n"...)
}

// fromTrusted reports whether the peer is a hop whose word counts.
func (x *exchange) fromTrusted() bool { return x.l.trusts(x.d.ends.remote.Addr()) }

func (core *Core) trusts(peer netip.Addr) bool {
	for _, p := range core.cfg.TrustedProxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// source is the client's address: the peer's or, behind trusted hops, the last
// address of X-Forwarded-For that is not itself a trusted hop. A value that does not
// parse ends the walk at the last address that is known.
func (x *exchange) source() netip.Addr {
	addr := x.d.ends.remote.Addr()
	if !x.fromTrusted() {
		return addr
	}
	fields := x.l.req.Fields
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].ID != h1.XForwardedFor {
			continue
		}
		for list := fields[i].Value; len(list) > 0; {
			var last []byte
			list, last = cutLast(list)
			a, err := netip.ParseAddr(string(last))
			if err != nil {
				return addr
			}
			addr = a.Unmap()
			if !x.l.trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

// cutLast splits the last element off a comma-separated list.
func cutLast(list []byte) (rest, last []byte) {
	i := len(list) - 1
	for i >= 0 && list[i] != ',' {
		i--
	}
	last = list[i+1:]
	if i >= 0 {
		rest = list[:i]
	}
	for len(last) > 0 && (last[0] == ' ' || last[0] == '\t') {
		last = last[1:]
	}
	for len(last) > 0 && (last[len(last)-1] == ' ' || last[len(last)-1] == '\t') {
		last = last[:len(last)-1]
	}
	return rest, last
}
