package proxy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// asked is what of a request, or of a connection to a TCP listener, a later decision needs.
type asked struct {
	listener          string // of TCP, where only source and certificate count besides; "": a request
	method            string
	host, path, query []byte // in the form in which they were decided about
	source            netip.Addr
	certificate       *authz.ClientCertificate
	preflight         bool
	voucher           string // the name of the authenticator that found the identity; "": nobody did
}

// note keeps what of a request does not stand in the head that is sent on: it costs nothing but a few words.
func (x *exchange) note() {
	a := &x.l.areq
	x.client, x.hostless, x.preflight = a.Source, len(a.Host) == 0, a.Preflight
}

// asked reads the rest there. It is valid until the next call that reads a head of ours.
func (x *exchange) asked() asked {
	l := x.l
	r := l.readSent(x)
	a := asked{method: methodOf(r.Method).name(r.Method), path: r.Path, query: r.Query, source: x.client, certificate: x.d.proof.certificate(),
		preflight: x.preflight}
	if !x.hostless {
		a.host, _, _ = route.NormalizeHost(l.asked.host[:0], r.Host)
	}
	if x.identity != nil {
		a.voucher = x.route.Authenticators[x.stage].Name()
	}
	return a
}

// keep is a copy that lasts.
func (a asked) keep() *asked {
	text := slices.Concat(a.host, a.path, a.query)
	host, path := len(a.host), len(a.host)+len(a.path)
	a.host, a.path, a.query = text[:host:host], text[host:path:path], text[path:]
	return &a
}

// decideAgain decides about a stream as if it began now, by the policy that snap is: route, rules and time are of now, who it is
// and what it asked for of then. ok false: it would be refused, for whatever reason. maxAge is that of its route.
func (l *loop) decideAgain(o *liveStream, snap *Snapshot, now time.Time) (maxAge time.Duration, ok bool) {
	a := o.asked
	if a == nil {
		l.asked = o.x.asked()
		a = &l.asked
	}
	req := &l.again
	*req = authz.Request{Method: a.method, Host: a.host, Path: a.path, Query: a.query, Time: now, Source: a.source,
		Certificate: a.certificate, Preflight: a.preflight}
	var rules authz.Authorizer
	if a.listener != "" {
		r := snap.tcp[a.listener]
		if r == nil {
			return 0, false
		}
		req.Route, rules, maxAge = r.Name, r.Authorizer, r.maxStreamAge
	} else {
		i, outcome := snap.table.Match(a.host, a.path, a.method)
		if outcome != route.Found || !snap.allowsParameters(a.host, a.path, a.method, i) {
			return 0, false
		}
		r := &snap.routes[i]
		if o.identity != nil && !r.believes(a.voucher) {
			return 0, false
		}
		req.Route, rules, maxAge = r.Name, r.Authorizer, r.maxStreamAge
	}
	l.site = inAuthorize
	d := rules.Authorize(o.identity, req)
	l.site = inWalk
	return maxAge, d.Verdict == authz.Allow
}

// believes reports whether a route asks the authenticator of that name.
func (ch *chain) believes(name string) bool {
	return slices.ContainsFunc(ch.Authenticators, func(a authz.Authenticator) bool { return a.Name() == name })
}
