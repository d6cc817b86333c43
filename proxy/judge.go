package proxy

import (
	"errors"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// Question is a request that nobody sent, or that somebody did a while ago: what would the policy in
// force say of it? Method and Path are needed, but for TCP.
type Question struct {
	Listener string // of a TCP listener: then only Source, Time and Certificate count besides
	Method   string // as a client sends it
	Host     string // with or without a port
	Path     string // as a client sends it, without the query
	Query    string

	Source      netip.Addr
	Time        time.Time
	Identity    *authz.Identity          // nil: anonymous
	Certificate *authz.ClientCertificate // nil: none was shown
	Preflight   bool                     // with Method OPTIONS: it has the fields of a CORS-preflight request
}

// Judgement is what becomes of a Question.
type Judgement struct {
	Route    string         // "": none was found
	Status   int            // of the answer if it is refused; 0: it is forwarded, or its connection closed
	Reason   string         // as in the access log; "ok": forwarded
	Decision authz.Decision // of the route's rules; Rule -1 if none was asked
	Request  *authz.Request // as rules saw it, in its one normal form; nil if they were not asked
}

// Allowed reports whether it would be forwarded.
func (j *Judgement) Allowed() bool { return j.Decision.Verdict == authz.Allow && j.Request != nil }

// Judge answers a question by the policy in force, in the way that an exchange takes, but for what
// only a connection knows (TLS names, limits). Who it is was found out before. Safe for concurrent use.
func (core *Core) Judge(q *Question) Judgement {
	snap := core.gate.Load()
	if snap == nil {
		return refused(503, "policy_unsynced")
	}
	if core.Withheld() {
		return refused(503, "policy_stale")
	}
	if q.Listener != "" {
		return snap.judgeTCP(q)
	}
	if why := malformed(q); why != nil {
		return refused(why.Status, why.Reason)
	}
	host, _, err := route.NormalizeHost(nil, []byte(q.Host))
	if err != nil && q.Host != "" {
		return refused(400, "host")
	}
	switch method := methodOf([]byte(q.Method)); {
	case q.Method == "CONNECT":
		return refused(501, "connect")
	case method == methodTRACE:
		return refused(405, "trace")
	case method == methodOther && miscased([]byte(q.Method)):
		return refused(400, "method_case")
	}
	path, err := route.Normalize(nil, []byte(q.Path), route.PathOptions{PathParameters: true})
	if err != nil {
		return refused(400, "path")
	}
	i, outcome := snap.table.Match(host, path, q.Method)
	switch {
	case outcome == route.MethodNotAllowed:
		return refused(405, "method")
	case outcome != route.Found:
		return refused(404, "no_route")
	case !snap.allowsParameters(host, path, q.Method, i):
		return refused(400, "path")
	}
	r := &snap.routes[i]
	return judge(r.Name, r.Authorizer, q, &authz.Request{Method: q.Method, Host: host, Path: path, Query: []byte(q.Query), Preflight: q.Preflight && q.Method == "OPTIONS"})
}

// malformed says why no request like that is read at all; nil: it is.
func malformed(q *Question) *h1.Error {
	target, authority := q.Path, []byte(q.Host)
	if q.Query != "" {
		target += "?" + q.Query
	}
	if q.Host == "" { // HTTP/1.0 needs none
		authority = []byte("none")
	}
	var r h1.Request
	var why *h1.Error
	if errors.As(r.Compose([]byte(q.Method), []byte(target), authority, false, h1.Limits{}), &why) {
		return why
	}
	return nil
}

func (s *Snapshot) judgeTCP(q *Question) Judgement {
	r := s.tcp[q.Listener]
	if r == nil {
		return refused(0, "no_route")
	}
	j := judge(r.Name, r.Authorizer, &Question{Source: q.Source, Time: q.Time, Certificate: q.Certificate}, &authz.Request{})
	j.Status = 0
	return j
}

func refused(status int, reason string) Judgement {
	return Judgement{Status: status, Reason: reason, Decision: authz.Decision{Rule: -1}}
}

func judge(name string, a authz.Authorizer, q *Question, req *authz.Request) Judgement {
	req.Route, req.Source, req.Time, req.Certificate = name, q.Source.Unmap(), q.Time, q.Certificate
	j := Judgement{Route: name, Request: req, Decision: a.Authorize(q.Identity, req)}
	j.Reason = j.Decision.Reason
	switch j.Decision.Verdict {
	case authz.Allow:
	case authz.Challenge:
		j.Status = 401
	case authz.Unavailable:
		j.Status = 503
	case authz.Deny, authz.Pending:
		j.Status = 403
	}
	return j
}
