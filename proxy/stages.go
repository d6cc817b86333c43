package proxy

import (
	"bytes"
	"slices"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// The two stages of an exchange: who is it, and may they.

// authenticate asks the route's authenticators in order, from x.stage on.
func (x *exchange) authenticate() {
	l := x.l
	for ; x.stage < len(x.route.Authenticators); x.stage++ {
		a := x.route.Authenticators[x.stage]
		l.site = inAuthenticate
		l.trip(x.d.id)
		id, v := a.Try(&l.areq)
		l.site = inWalk
		if v == authz.Pending {
			x.ask(a)
			return
		}
		if !x.authenticated(a, id, v) {
			continue
		}
		return
	}
	if x.stale || x.route.hidesCredentials && showsBearer(&l.req) {
		x.decide(invalidCredential)
		return
	}
	x.authorize()
}

// showsBearer reports whether a request has a bearer token (RFC 6750 section 2.1), or several credentials. Where
// authenticators look at fields, and none takes it, it is no token, and not an absent one.
func showsBearer(r *h1.Request) bool {
	const scheme = "bearer"
	value, count := r.Field("authorization")
	value = bytes.TrimLeft(value, " \t")
	return count > 1 || len(value) >= len(scheme) && bytes.EqualFold(value[:len(scheme)], []byte(scheme)) &&
		(len(value) == len(scheme) || value[len(scheme)] == ' ' || value[len(scheme)] == '\t')
}

// authenticated acts on the verdict of one authenticator; false: ask the next.
func (x *exchange) authenticated(a authz.Authenticator, id *authz.Identity, v authz.Verdict) bool {
	switch v {
	case authz.Allow:
		if id == nil {
			panic("authenticator " + a.Name() + " allowed nobody")
		}
		x.identity = id
		if x.route.renews {
			x.renew(a)
		}
		x.c.located()
		x.authorize()
		return true
	case authz.Deny:
		return false
	case authz.Challenge:
		if _, cookie := a.(authz.Renewer); cookie { // browsers send what is over by themselves: it hides nothing that is good
			x.stale = true
			return false
		}
		x.decide(invalidCredential)
		return true
	case authz.Unavailable, authz.Pending:
	}
	x.reply(response{status: 503, reason: "authenticate_unavailable", text: "authentication is not possible now", fields: retryAfter})
	return true
}

// stageAnswer is what comes back from an authenticator that left the loop.
type stageAnswer struct {
	seq      uint32
	identity *authz.Identity
	verdict  authz.Verdict
	panicked bool // it decided nothing
}

// ask runs the slow half of an authenticator off the loop, on a copy that nobody writes to
// any more.
func (x *exchange) ask(a authz.Authenticator) {
	l := x.l
	x.saved = l.req.Clone()
	req := l.areq.Clone()
	req.Fields = x.saved
	seq := x.seq
	x.phase = deciding
	x.c.arm(engine.TimerState, l.cfg.StageTimeout)
	if !l.sh.Ask(x.d.id, func() any { return l.resolve(a, req, seq) }) {
		x.reply(response{status: 503, reason: "authenticate_overloaded", text: "too many authentications are pending", fields: retryAfter})
	}
}

// resolve runs off the loop: of l it may touch nothing but counters.
func (l *loop) resolve(a authz.Authenticator, req *authz.Request, seq uint32) (answer stageAnswer) {
	defer func() {
		if v := recover(); v != nil {
			l.panicked(inResolve, v)
			answer = stageAnswer{seq: seq, panicked: true}
		}
	}()
	id, v := a.Resolve(req)
	return stageAnswer{seq: seq, identity: id, verdict: v}
}

// answerStage takes the result of an Ask: the walk goes on where it stopped, with the copy of
// what aliased the loop's buffers.
func (x *exchange) answerStage(a stageAnswer) {
	if x.phase != deciding || x.parked != nil || a.seq != x.seq {
		return // the exchange ended meanwhile
	}
	c := x.c
	c.arm(engine.TimerState, 0)
	x.resume()
	if a.panicked {
		x.internalError()
		return
	}
	x.relocate()
	if !x.authenticated(x.route.Authenticators[x.stage], a.identity, a.verdict) {
		x.stage++
		x.authenticate()
	}
	c.proceed()
}

func (x *exchange) stageTimeout() {
	x.replyLate(response{status: 503, reason: "authenticate_timeout", text: "authentication took too long", fields: retryAfter})
}

// invalidCredential is the decision about a request whose credential is not valid.
var invalidCredential = authz.Decision{Verdict: authz.Challenge, Reason: "credential_invalid", Rule: -1}

// authorize asks the route's policy.
func (x *exchange) authorize() {
	l := x.l
	d := authz.Decision{Verdict: authz.Allow}
	if !l.cfg.Faults.SkipAuthorize {
		l.site = inAuthorize
		l.trip(x.d.id)
		d = x.route.Authorizer.Authorize(x.identity, &l.areq)
		l.site = inWalk
	}
	l.stats.decided(d)
	x.decide(d)
}

// act does what a decision says: forwards what is allowed.
func (x *exchange) act(d authz.Decision) {
	if d.Verdict != authz.Allow {
		x.rememberDecision(d)
	}
	switch d.Verdict {
	case authz.Allow:
		x.forward()
	case authz.Challenge:
		text := "a credential is needed"
		if d == invalidCredential {
			text = "the credential is not valid"
		}
		x.challenge(d.Reason, text)
	case authz.Unavailable:
		x.reply(response{status: 503, reason: d.Reason, text: "no decision is possible now", fields: retryAfter})
	case authz.Deny, authz.Pending:
		x.deny(d)
	}
}

// rememberDecision keeps a decision of a stage: see refusalRing.
func (x *exchange) rememberDecision(d authz.Decision) {
	status := 403
	switch d.Verdict {
	case authz.Challenge:
		status = 401
	case authz.Unavailable:
		status = 503
	case authz.Deny, authz.Allow, authz.Pending:
	}
	a := &x.l.areq
	x.remember(status, d, a.Method, a.Host, a.Path)
}

// deny says that the policy does not allow the request: to a person with a page.
func (x *exchange) deny(d authz.Decision) {
	if page := x.l.cfg.DeniedPage; page != nil && len(x.route.Authenticators) > 0 && x.l.areq.Navigates() {
		a := page(string(x.id.bytes()), d.Reason, x.identity)
		a.Status, a.Reason = 403, d.Reason
		x.give(&a)
		return
	}
	x.reply(response{status: 403, reason: d.Reason, text: "the policy does not allow this request"})
}

// withChallenges adds to a greeter's 401 what the other authenticators of the route would take (RFC 9110 section 11.6.1).
func (x *exchange) withChallenges(a *authz.Answer) *authz.Answer {
	if a.Status != 401 {
		return a
	}
	all := *a
	all.Fields = slices.Clone(a.Fields)
	for _, c := range x.route.challenges {
		if f := authz.Field(c); !slices.Contains(a.Fields, f) {
			all.Fields = append(all.Fields, f)
		}
	}
	return &all
}

// challenge asks for a credential, or shows the way to get one.
func (x *exchange) challenge(reason, text string) {
	if len(x.route.greeters) > 0 && !isGRPC(&x.l.req) {
		for _, g := range x.route.greeters {
			if a := g.Greet(&x.l.areq); a != nil {
				x.give(x.withChallenges(a))
				return
			}
		}
	}
	x.reply(response{status: 401, reason: reason, text: text, fields: x.route.challenges})
}
