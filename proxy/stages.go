package proxy

import (
	"bytes"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/route"
)

// The two stages of an exchange: who is it, and may they.

// authenticate asks the route's authenticators in order, from x.stage on.
func (c *httpConn) authenticate(head []byte) {
	x := c.x
	for ; x.stage < len(x.route.Authenticators); x.stage++ {
		a := x.route.Authenticators[x.stage]
		c.l.site = inAuthenticate
		c.l.trip(c.id)
		id, v := a.Try(&c.l.areq)
		c.l.site = inWalk
		if v == authz.Pending {
			c.ask(a, head)
			return
		}
		if !c.authenticated(a, id, v) {
			continue
		}
		return
	}
	c.authorize()
}

// authenticated acts on the verdict of one authenticator; false: ask the next.
func (c *httpConn) authenticated(a authz.Authenticator, id *authz.Identity, v authz.Verdict) bool {
	switch v {
	case authz.Allow:
		if id == nil {
			panic("authenticator " + a.Name() + " allowed nobody")
		}
		c.x.identity = id
		c.handle.Describe(&c.x.route.Name, &id.User)
		c.authorize()
		return true
	case authz.Deny:
		return false
	case authz.Challenge:
		c.challenge("credential_invalid", "the credential is not valid")
		return true
	case authz.Unavailable, authz.Pending:
	}
	c.reply(response{status: 503, reason: "authenticate_unavailable", text: "authentication is not possible now", fields: retryAfter})
	return true
}

// stageAnswer is what comes back from an authenticator that left the loop.
type stageAnswer struct {
	seq      uint32
	identity *authz.Identity
	verdict  authz.Verdict
	panicked bool // it decided nothing
}

// ask runs the slow half of an authenticator off the loop, on copies.
func (c *httpConn) ask(a authz.Authenticator, head []byte) {
	x := c.x
	x.saved = bytes.Clone(head)
	own := new(h1.Request) // read by the other goroutine only, like saved
	if _, err := own.Parse(x.saved, c.l.cfg.Limits); err != nil {
		panic("BUG: a head that parsed does not parse again: " + err.Error())
	}
	req := c.l.areq.Clone()
	req.Fields = own
	seq, l := c.seq, c.l
	c.state = deciding
	c.arm(engine.TimerState, c.l.cfg.StageTimeout)
	if !l.sh.Ask(c.id, func() any { return l.resolve(a, req, seq) }) {
		c.reply(response{status: 503, reason: "authenticate_overloaded", text: "too many authentications are pending", fields: retryAfter})
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

// answerStage takes the result of an Ask: the walk goes on where it stopped. What aliased the loop's
// buffers is read again from the saved head.
func (c *httpConn) answerStage(a stageAnswer) {
	x := c.x
	if c.state != deciding || a.seq != c.seq {
		return // the exchange ended meanwhile
	}
	c.arm(engine.TimerState, 0)
	head := x.saved
	x.saved = nil
	if n, err := c.l.req.Parse(head, c.l.cfg.Limits); err != nil || n == 0 {
		panic("BUG: a head that parsed does not parse again")
	}
	c.state = awaitHead
	if a.panicked {
		c.internalError()
		return
	}
	c.relocate()
	if !c.authenticated(x.route.Authenticators[x.stage], a.identity, a.verdict) {
		x.stage++
		c.authenticate(head)
	}
	c.pump()
}

// relocate fills l.areq again for the route that was found before. The snapshot of
// the exchange stays the one it began with.
func (c *httpConn) relocate() {
	l, r, x := c.l, &c.l.req, c.x
	host, port, _ := route.NormalizeHost(l.hostBuf[:0], r.Host)
	path, _ := route.Normalize(l.pathBuf[:0], r.Path, route.PathOptions{PathParameters: true})
	l.areq = authz.Request{Route: x.route.Name, Method: x.method.name(r.Method), Host: host, Path: path,
		Query: r.Query, Source: c.source(), Fields: r, Certificate: c.proof.certificate()}
	l.port = port
}

func (c *httpConn) stageTimeout() {
	c.seq++ // whatever comes now is too late
	c.reply(response{status: 503, reason: "authenticate_timeout", text: "authentication took too long", fields: retryAfter})
	c.pump()
}

// authorize asks the route's policy, and forwards if it allows.
func (c *httpConn) authorize() {
	x := c.x
	d := authz.Decision{Verdict: authz.Allow}
	if !c.l.cfg.Faults.SkipAuthorize {
		c.l.site = inAuthorize
		c.l.trip(c.id)
		d = x.route.Authorizer.Authorize(x.identity, &c.l.areq)
		c.l.site = inWalk
	}
	c.l.stats.decided(d)
	switch d.Verdict {
	case authz.Allow:
		c.forward()
	case authz.Challenge:
		c.challenge(d.Reason, "a credential is needed")
	case authz.Unavailable:
		c.reply(response{status: 503, reason: d.Reason, text: "no decision is possible now", fields: retryAfter})
	case authz.Deny, authz.Pending:
		c.reply(response{status: 403, reason: d.Reason, text: "the policy does not allow this request"})
	}
}

func (c *httpConn) challenge(reason, text string) {
	c.reply(response{status: 401, reason: reason, text: text, fields: c.x.route.challenges})
}
