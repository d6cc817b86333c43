package proxy

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// exchange is one request and its response, from head read to last byte. Its connection
// has it from then until it is idle again; then the next one of the loop uses it.
type exchange struct {
	running  bool
	started  time.Time
	snap     *Snapshot
	route    *Route
	identity *authz.Identity
	reason   string // why we answered ourselves; "" if the upstream did
	dropErr  error  // why the response was not finished

	// The request.
	method     methodID
	minor      uint8
	isHEAD     bool
	expect     bool // the client waits for 100 before it sends the body
	upgrade    bool
	clientStay bool // the client wants to keep the connection
	body       h1.Body
	chunked    bool // the request body is forwarded in chunks
	hasBody    bool
	reqDone    bool
	bodyBegun  bool   // a body byte was consumed: no retry
	rateMark   int64  // bytesIn when the window of the rate began
	pressed    bool   // the upstream held the body back in this window
	moving     bool   // the driver carries the body: if that breaks, nobody knows how far it came
	saved      []byte // the head, while an authenticator works on it
	stage      int    // index in the route's chain of the authenticator that is asked
	id         requestID

	// The way to the upstream.
	up     *upConn
	next   *upstream.Endpoint // to be dialed once there is a slot
	wait   upstream.Waiter    // for a connection of the cluster, while the connection says waits
	head   []byte             // as sent to the upstream; kept until the response begins, for a safe retry
	tries  int                // connections that it was sent on
	resent bool               // it went out a second time, although the first may have been executed
	dials  int                // that failed

	// The response.
	status     int
	headSent   bool
	close      bool // Connection: close was said, or the body ends with the connection
	respChunk  bool // we chunk
	untilClose bool // the body ends with the connection
	interim    int
	events     *eventStream // it is a stream that a drain may end; nil: none
	bytesIn    int64
	bytesOut   int64

	line []byte // the access record so far
}

// startExchange begins the account of one request.
func (c *httpConn) startExchange() {
	if c.undelivered && c.l.sh.Queued(c.id) > 0 {
		c.noteOwed(false)
	}
	c.delivered()     // the one before ends here at the latest
	c.endedExchange() // a malformed head may come right behind the one that has just ended
	x := c.l.newExchange()
	c.x = x
	c.seq++
	x.running, x.started, x.reqDone = true, c.l.now(), true
	x.wait.Seq = uint64(c.seq) << 32
	x.body.Reset(h1.BodyNone, 0)
	if c.handle != nil {
		c.handle.Active()
	}
	c.l.stats.active.Add(1)
}

// endedExchange lets go of an exchange that is over: an idle connection holds none.
func (c *httpConn) endedExchange() {
	x, l := c.x, c.l
	if x == &l.none {
		return
	}
	c.x = &l.none
	*x = exchange{body: x.body} // it must not keep a snapshot that is out of force
	if len(l.exchanges) < maxFree {
		l.exchanges = append(l.exchanges, x)
	}
}

// newExchange is an empty exchange; only the memory of its body is of use.
func (l *loop) newExchange() *exchange {
	n := len(l.exchanges)
	if n == 0 {
		return &exchange{}
	}
	x := l.exchanges[n-1]
	l.exchanges = l.exchanges[:n-1]
	return x
}

func (c *httpConn) exchangeRuns() bool { return c.x.running }

// begin walks the exchange whose head was just parsed into l.req: admitted? routed?
// who is it? may they? forward. head holds the bytes of the head.
func (c *httpConn) begin(head []byte) {
	l, r := c.l, &c.l.req
	var refused error
	if c.handle == nil {
		if refused = l.admit(c); refused == nil {
			l.unadmitted.done()
		}
	}
	c.startExchange()
	x := c.x
	x.method = methodOf(r.Method)
	x.minor, x.isHEAD = r.Minor, x.method == methodHEAD
	x.clientStay, x.expect, x.upgrade = r.KeepAlive, r.Expect100, mayUpgrade(r.Upgrade) || l.cfg.Faults.PassAnyUpgrade && r.Upgrade != nil
	x.hasBody, x.chunked = r.Body != h1.BodyNone, r.Chunked
	x.reqDone = !x.hasBody
	x.body.Reset(r.Body, r.Length)
	x.id.choose(l, c.fromTrusted())
	if c.handle == nil {
		c.refuseUnadmitted(refused)
		return
	}
	x.snap = l.gate.Load()
	if x.snap == nil && l.cfg.Faults.ServeWithoutPolicy {
		x.snap = l.gate.pending.Load()
	}
	if x.snap == nil {
		l.refused(c.ln, refusedUnsynced)
		c.reply(response{status: 503, reason: "policy_unsynced", text: "no policy is in force yet", fields: retryAfter, close: true})
		return
	}
	c.locate(head)
}

var retryAfter = []h1.Header{{Name: "Retry-After", Value: "1"}}

// refuseUnadmitted answers a request on a connection that has no handle.
func (c *httpConn) refuseUnadmitted(err error) {
	reason, text := refusedUnsynced, "no policy is in force yet"
	switch full, ok := err.(*overLimit); {
	case ok && c.l.tracker.State() != drain.Shut: // while shut nobody has a place: the policy is what is missing
		reason, text = full.why, full.text
	case c.l.tracker.State() >= drain.Draining:
		reason, text = refusedDraining, "this replica is draining"
	}
	c.l.refused(c.ln, reason)
	c.reply(response{status: 503, reason: reason.String(), text: text, fields: retryAfter, close: true})
}

// locate finds the route by the one normal form of host and path.
func (c *httpConn) locate(head []byte) {
	l, r, x := c.l, &c.l.req, c.x
	c.beginRecord()
	hops, limited, valid := maxForwards(x.method, r)
	switch {
	case r.Form == h1.Authority:
		c.reply(response{status: 501, reason: "connect", text: "CONNECT is not offered here", close: true})
		return
	case x.method == methodTRACE:
		c.reply(response{status: 405, reason: "trace", text: "TRACE is not offered here", close: true})
		return
	case x.method == methodOther && miscased(r.Method):
		c.reply(response{status: 400, reason: "method_case", text: "a method is written in capitals"})
		return
	case r.Form == h1.Asterisk:
		c.reply(response{status: 400, reason: "asterisk", text: "OPTIONS * addresses no route"})
		return
	case asksForAnotherMethod(r):
		c.reply(response{status: 400, reason: "method_override", text: "a field asks for another method than the request line", close: true})
		return
	case !valid:
		c.reply(response{status: 400, reason: "max_forwards", text: "Max-Forwards is not one number", close: true})
		return
	case limited && hops == 0:
		c.reply(response{status: 200, reason: "max_forwards", text: "this is as far as Max-Forwards lets the request go"})
		return
	}
	host, port, err := route.NormalizeHost(l.hostBuf[:0], r.Host)
	if err != nil && len(r.Host) > 0 {
		c.reply(response{status: 400, reason: "host", text: err.Error(), close: true})
		return
	}
	if c.misdirected(host) {
		c.reply(response{status: 421, reason: "misdirected", text: "the certificate of this connection does not stand for that host"})
		return
	}
	path, err := route.Normalize(l.pathBuf[:0], r.Path, route.PathOptions{PathParameters: true})
	if err != nil {
		c.reply(response{status: 400, reason: "path", text: err.Error(), close: true})
		return
	}
	c.recordTarget(host, path)
	name := x.method.name(r.Method)
	i, outcome := x.snap.table.Match(host, path, name)
	if outcome != route.Found { // what the exchange before was on no longer holds
		c.handle.SetTerms(nil)
	}
	switch {
	case outcome == route.MethodNotAllowed:
		c.reply(response{status: 405, reason: "method", text: "no route of this path takes that method",
			fields: []h1.Header{{Name: "Allow", Value: x.snap.table.Allow(i)}}})
		return
	case outcome != route.Found:
		c.reply(response{status: 404, reason: "no_route", text: "no route matches this host and path"})
		return
	}
	x.route = &x.snap.routes[i]
	if bytes.IndexByte(path, ';') >= 0 && !c.parametersMatch(host, path, name, i) {
		c.reply(response{status: 400, reason: "path", text: "the path holds path parameters (;), which this route does not allow", close: true})
		return
	}
	l.areq = authz.Request{Route: x.route.Name, Method: name, Host: host, Path: path, Query: r.Query,
		Source: c.source(), Fields: r}
	l.port, x.stage = port, 0
	c.handle.Describe(&x.route.Name, nil)
	c.handle.SetTerms(x.route.terms)
	c.authenticate(head)
}

// parametersMatch reports whether a path may keep its parameters: its route allows them,
// and a server that cuts them off finds a path of the same route ("/admin;x" is its "/admin").
func (c *httpConn) parametersMatch(host, path []byte, method string, found int) bool {
	if !c.x.route.PathParameters {
		return false
	}
	bare, err := route.Normalize(nil, route.WithoutParameters(path), route.PathOptions{})
	if err != nil {
		return false
	}
	i, outcome := c.x.snap.table.Match(host, bare, method)
	return outcome == route.Found && i == found
}

// endExchange closes the account of the exchange and decides what becomes of the
// connection. The response is queued in full.
func (c *httpConn) endExchange() {
	x := c.x
	c.endAccount()
	if x.close || !x.reqDone {
		c.decide(drain.Completed)
		c.undelivered = true
		c.flushThenShut()
		return
	}
	c.backToIdle()
}

// backToIdle waits for the next request. A response that has not left in full keeps
// the connection active in the account.
func (c *httpConn) backToIdle() {
	c.state = awaitHead
	c.undelivered = true // until then the exchange is kept: a cut names it
	if c.l.sh.Queued(c.id) == 0 {
		c.delivered()
	}
	c.arm(engine.TimerState, c.l.cfg.IdleTimeout)
	if c.l.cfg.Faults.DropHeld {
		c.in = c.in[:0]
	}
	c.pump()
}

// endAccount releases what the exchange held and writes its record. Once only.
func (c *httpConn) endAccount() {
	x := c.x
	if !x.running {
		return
	}
	x.running = false
	c.leaveQueue()
	c.arm(engine.TimerRead, 0)
	c.arm(engine.TimerState, 0)
	if x.head != nil {
		c.l.putBuffer(x.head)
		x.head = nil
	}
	c.l.stats.active.Add(-1)
	c.endRecord()
}

func (c *httpConn) sendOut(b []byte) {
	if c.handle != nil {
		c.handle.Bytes(0, int64(len(b)))
	}
	c.send(b)
}

// answer implements role.
func (c *httpConn) answer(v any) {
	switch v := v.(type) {
	case stageAnswer:
		c.answerStage(v)
	case engine.Secured:
		c.secured(v)
	}
}
