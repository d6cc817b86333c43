package proxy

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// phase is how far an exchange is.
//
//	            authenticator must leave the loop
//	walking ─────────────────────────────────────▶ deciding
//	   │ │ allowed                                    │
//	   │ └───────────▶ forwarding ◀───────────────────┘
//	   │                   │
//	   └─ answered by us ──┴── response complete, dropped, or 101 ──▶ ended
type phase uint8

const (
	ended      phase = iota // or not begun: the zero exchange does not run
	walking                 // in the middle of a call
	deciding                // waits for Answer
	forwarding              // with an upstream, or on the way to one
)

// exchange is one request and its response, from head read to last byte. Its client
// has it from then until it is idle again; then the next one of the loop uses it.
type exchange struct {
	l *loop
	d *downstream // of the connection that it came on
	c requester

	phase    phase
	started  time.Time
	snap     *Snapshot
	route    *Route
	identity *authz.Identity
	// setCookie renews the credential of the client, with whatever the response is; "": it is as good as new.
	setCookie string
	reason    string // why we answered ourselves; "" if the upstream did
	dropErr   error  // why the response was not finished
	seq       uint32 // within the connection: tells what comes late for an earlier one from what is for this

	// The request.
	method     methodID
	version    version
	isHEAD     bool
	expect     bool // the client waits for 100 before it sends the body
	upgrade    bool
	trailers   bool // the client takes trailers
	clientStay bool // the client wants to keep the connection
	body       h1.Body
	chunked    bool // the request body is forwarded in chunks
	hasBody    bool
	reqDone    bool
	bodyBegun  bool        // a body byte was consumed: no retry
	rateMark   int64       // bytesIn when the window of the rate began
	pressed    bool        // the upstream held the body back in this window
	moving     bool        // the driver carries the body: if that breaks, nobody knows how far it came
	saved      *h1.Request // a copy, while an authenticator works on it
	parked     *parked     // a decision that waits for a place in the log; nil: none does
	stale      bool        // a cookie of a session that is not good came with it: it is not anonymous
	stage      int         // index in the route's chain of the authenticator that is asked
	id         requestID

	// The way to the upstream.
	up     responder
	next   *upstream.Endpoint // to be dialed once there is a slot
	wait   upstream.Waiter    // for a connection of the cluster, while waits
	waits  bool
	head   []byte // as sent to the upstream; kept until the response begins, for a safe retry
	tries  int    // connections that it was sent on
	resent bool   // it went out a second time, although the first may have been executed
	dials  int    // that failed

	// The response.
	status     int
	headSent   bool
	close      bool // Connection: close was said, or the body ends with the connection
	leaves     bool // the response was ended by a drain: an HTTP/1.1 connection on which nothing waits ends with it
	discard    bool // the rest of the request is read and dropped, so that its connection can stay
	respChunk  bool // we chunk
	untilClose bool // the body ends with the connection
	interim    int
	events     *eventStream // it is a stream of events; nil: none, or one that nobody can follow
	barredFor  streamEnd    // it is a stream that may not go on: it is ended, or about to be
	bytesIn    int64
	bytesOut   int64

	// What decides about it once more, if it is a stream.
	live      liveStream
	client    netip.Addr // authz.Request.Source
	hostless  bool       // it named no host
	preflight bool       // authz.Request.Preflight

	rec record
}

// version is the HTTP version of a request.
type version uint8

const (
	http11 version = iota
	http10
	http2
)

// String is the version as Via has it (RFC 9110 section 7.6.3).
func (v version) String() string {
	switch v {
	case http10:
		return "1.0"
	case http11:
		return "1.1"
	case http2:
		return "2"
	}
	return "invalid"
}

func (x *exchange) running() bool { return x.phase != ended }

// start begins the account of one request; seq is its number on the connection.
func (x *exchange) start(d *downstream, c requester, seq uint32) {
	x.d, x.c, x.seq = d, c, seq
	x.phase, x.started, x.reqDone = walking, x.l.now(), true
	x.wait.Seq = uint64(seq) << 32
	x.body.Reset(h1.BodyNone, 0)
	if d.handle != nil {
		d.handle.Active()
	}
	x.l.stats.active.Add(1)
}

// newExchange is an empty exchange; only the memory of its body is of use.
func (l *loop) newExchange() *exchange {
	n := len(l.exchanges)
	if n == 0 {
		return &exchange{l: l}
	}
	x := l.exchanges[n-1]
	l.exchanges = l.exchanges[:n-1]
	return x
}

// freeExchange takes back one that is over.
func (l *loop) freeExchange(x *exchange) {
	l.part(&x.live)
	*x = exchange{l: l, body: x.body} // it must not keep a snapshot that is out of force
	if len(l.exchanges) < maxFree {
		l.exchanges = append(l.exchanges, x)
	}
}

// begin walks the exchange whose head is in l.req: admitted? routed? who is it? may they?
// forward.
func (x *exchange) begin() {
	l, r, d := x.l, &x.l.req, x.d
	var refused error
	if d.handle == nil {
		if refused = d.admit(); refused == nil {
			l.unadmitted.done()
			d.handle.Active()
		}
	}
	x.method = methodOf(r.Method)
	x.isHEAD = x.method == methodHEAD
	x.clientStay, x.expect, x.upgrade = r.KeepAlive, r.Expect100, mayUpgrade(r.Upgrade) || l.cfg.Faults.PassAnyUpgrade && r.Upgrade != nil
	x.trailers = r.Trailers
	x.hasBody, x.chunked = r.Body != h1.BodyNone, r.Chunked
	x.reqDone = !x.hasBody
	x.body.Reset(r.Body, r.Length)
	x.id.choose(l, x.fromTrusted())
	if d.handle == nil {
		x.refuseUnadmitted(refused)
		return
	}
	x.snap = l.gate.Load()
	if x.snap == nil && l.cfg.Faults.ServeWithoutPolicy {
		x.snap = l.gate.pending.Load()
	}
	if x.snap == nil {
		l.refused(d.ln, refusedUnsynced)
		x.reply(response{status: 503, reason: "policy_unsynced", text: "no policy is in force yet", fields: retryAfter, close: true})
		return
	}
	if l.gate.withheld.Load() {
		l.refused(d.ln, refusedStale)
		x.reply(response{status: 503, reason: "policy_stale", text: "the policy in force is too old to be acted upon", fields: retryAfter})
		return
	}
	x.locate()
}

var retryAfter = []h1.Header{{Name: "Retry-After", Value: "1"}}

// refuseUnadmitted answers a request on a connection that has no handle.
func (x *exchange) refuseUnadmitted(err error) {
	l := x.l
	reason, text := refusedUnsynced, "no policy is in force yet"
	switch full, ok := err.(*overLimit); {
	case ok && l.tracker.State() != drain.Shut: // while shut nobody has a place: the policy is what is missing
		reason, text = full.why, full.text
	case l.tracker.State() >= drain.Draining:
		reason, text = refusedDraining, "this replica is draining"
	}
	l.refused(x.d.ln, reason)
	x.reply(response{status: 503, reason: reason.String(), text: text, fields: retryAfter, close: true, leave: true})
}

// endAccount releases what the exchange held and writes its record. Once only.
func (x *exchange) endAccount() {
	if !x.running() {
		return
	}
	x.phase = ended
	x.l.part(&x.live)
	x.leaveQueue()
	x.unpark()
	x.c.arm(engine.TimerRead, 0)
	x.c.arm(engine.TimerState, 0)
	if x.head != nil {
		x.l.putBuffer(x.head)
		x.head = nil
	}
	x.l.stats.active.Add(-1)
	x.endRecord()
}
