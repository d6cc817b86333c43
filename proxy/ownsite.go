package proxy

import (
	"bytes"
	"fmt"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Paths that are the proxy's own on every host: the callback of a login, a logout. No route is looked for and no policy
// asked. To its exchange a site is a responder without a connection: it gathers the body, which is small, and is
// asked off the loop as a slow authenticator is.

// siteCall is a request to a site.
type siteCall struct {
	x    *exchange // nil: nobody waits for it any more
	site authz.Site
	req  *authz.Request
	body []byte
}

// siteAnswer is what comes back from a site.
type siteAnswer struct {
	seq      uint32
	answer   *authz.Answer
	panicked bool
}

// ownPath reports whether a path is reserved for sites, if there are any.
func (core *Core) ownPath(path []byte) bool {
	if len(core.cfg.Sites) == 0 || len(path) < 2 || path[1] != '.' {
		return false
	}
	for _, prefix := range authz.SitePrefixes {
		if len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix {
			return true
		}
	}
	return core.siteOf(path) != nil
}

// siteOf finds the site that owns a path; nil: none does.
func (core *Core) siteOf(path []byte) authz.Site {
	for _, s := range core.cfg.Sites {
		if s.Owns(path) {
			return s
		}
	}
	return nil
}

// visit sends the exchange to the site that owns its path.
func (x *exchange) visit(host, path []byte) {
	l, r := x.l, &x.l.req
	x.c.located() // what the exchange before was on no longer holds
	site := l.siteOf(path)
	switch {
	case site == nil:
		x.reply(response{status: 404, reason: "no_site", text: "the proxy has no page of its own at this path"})
		return
	case x.hasBody && r.Body != h1.BodyLength:
		x.reply(response{status: 411, reason: "length_required", text: "a request to a page of the proxy says the length of its body"})
		return
	case r.Length > authz.MaxSiteBody:
		x.reply(response{status: 413, reason: "site_body", text: "the body is larger than what a page of the proxy takes"})
		return
	}
	l.areq = authz.Request{Method: x.method.name(r.Method), Host: host, Authority: r.Host, Path: path, Query: r.Query,
		Time: l.now(), Source: x.source(), Secure: x.secure(), Fields: r, Certificate: x.d.proof.certificate()}
	c := &siteCall{x: x, site: site, req: l.areq.Clone()}
	c.req.Fields = r.Clone()
	x.phase, x.up = forwarding, c
	if x.reqDone {
		c.ask()
		return
	}
	if x.expect {
		l.out = l.out[:0]
		x.interim++
		x.c.interim(&h1.Response{Status: 100, Length: -1})
		x.c.flush()
	}
	x.c.arm(engine.TimerState, 0) // what bounded the head
	x.rateBegins()
	x.c.arm(engine.TimerRead, l.cfg.BodyTimeout)
	x.c.proceed()
}

// secure reports whether the client's own connection is TLS, as far as we know or a trusted hop says.
func (x *exchange) secure() bool {
	if x.d.ln.cfg.TLS != nil {
		return true
	}
	if !x.fromTrusted() {
		return false
	}
	proto, n := x.l.req.Field("x-forwarded-proto")
	return n == 1 && bytes.EqualFold(proto, []byte("https"))
}

// ask has the site answer, off the loop.
func (c *siteCall) ask() {
	x, l := c.x, c.x.l
	x.phase = deciding
	site, req, body, seq := c.site, c.req, c.body, x.seq
	if !l.sh.Ask(x.d.id, func() any { return l.serveSite(site, req, body, seq) }) {
		x.reply(response{status: 503, reason: "authenticate_overloaded", text: "too many authentications are pending", fields: retryAfter})
		return
	}
	x.c.arm(engine.TimerRead, 0)
	x.c.arm(engine.TimerState, l.cfg.StageTimeout)
}

// serveSite runs off the loop: of l it may touch nothing but counters.
func (l *loop) serveSite(site authz.Site, req *authz.Request, body []byte, seq uint32) (answer siteAnswer) {
	defer func() {
		if v := recover(); v != nil {
			l.panicked(inResolve, v)
			answer = siteAnswer{seq: seq, panicked: true}
		}
	}()
	a := site.Serve(req, body)
	if err := wellFormed(&a); err != nil {
		panic(err)
	}
	return siteAnswer{seq: seq, answer: &a}
}

// answerSite takes what a site said.
func (x *exchange) answerSite(a siteAnswer) {
	c, ok := x.up.(*siteCall)
	if !ok || x.phase != deciding || a.seq != x.seq {
		return // the exchange ended meanwhile
	}
	c.x = nil
	x.up = nil
	conn := x.c
	conn.arm(engine.TimerState, 0)
	if a.panicked {
		x.internalError()
	} else {
		x.give(a.answer)
	}
	conn.proceed()
}

// give replies with an answer of a stage or a site.
func (x *exchange) give(a *authz.Answer) {
	fields := make([]h1.Header, len(a.Fields), len(a.Fields)+1)
	for i, f := range a.Fields {
		fields[i] = h1.Header(f)
	}
	x.reply(response{status: a.Status, reason: a.Reason, fields: fields, body: a.Body})
}

// wellFormed reports what is wrong with an answer that somebody else made.
func wellFormed(a *authz.Answer) error {
	if a.Status < 200 || a.Status > 599 || a.Status == 204 || a.Status == 304 {
		return fmt.Errorf("BUG: an answer has status %d", a.Status)
	}
	for _, f := range a.Fields {
		if !h1.ValidField(f.Name, f.Value) {
			return fmt.Errorf("BUG: an answer %d %s has an invalid field %q", a.Status, a.Reason, f.Name)
		}
	}
	return nil
}

// siteCall implements responder.

func (c *siteCall) endpoint() *upstream.Endpoint { return nil }
func (c *siteCall) connecting() bool             { return false }
func (c *siteCall) takesBody() bool              { return true }
func (c *siteCall) sendBody(data []byte)         { c.body = append(c.body, data...) } // at most MaxSiteBody, by its declared length
func (c *siteCall) endBody([]h1.Field)           {}                                   // see exchange.endBody
func (c *siteCall) queued() int                  { return 0 }
func (c *siteCall) full() bool                   { return false }
func (c *siteCall) watchStall()                  {}
func (c *siteCall) goOn()                        {}
func (c *siteCall) fault()                       {}
func (c *siteCall) abandon()                     { c.letGo() }
func (c *siteCall) wreck()                       { c.letGo() }
func (c *siteCall) carries(x *exchange) bool     { return c.x == x }
func (c *siteCall) become(*tunnelEnd)            { panic("BUG: a site switches to no protocol") }

func (c *siteCall) letGo() {
	if c.x != nil {
		c.x.up = nil
		c.x = nil
	}
}
