package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// connState is the state of a downstream HTTP/1.1 connection.
//
//	            head complete
//	awaitHead ────────────────▶ exchanging ── 101 ──▶ (tunnel: another role)
//	  ▲  ▲                        │  │  │
//	  │  └── response complete ───┘  │  │ the response said goodbye, or must look truncated
//	  │                              │  └──────▶ flushing ──────▶ closing
//	  └─ body read ── discarding ◀───┘ refused, with a small body to come
type connState uint8

const (
	awaitHead  connState = iota // between requests, or in the middle of a head
	exchanging                  // an exchange runs; how far it is, it knows
	discarding                  // answered; the rest of a small request body is read and dropped
	flushing                    // the last response is leaving; then close
	closing                     // Close or Abort was called; only closed comes
)

func (s connState) String() string {
	switch s {
	case awaitHead:
		return "await_head"
	case exchanging:
		return "exchanging"
	case discarding:
		return "discarding"
	case flushing:
		return "flushing"
	case closing:
		return "closing"
	}
	return "invalid"
}

// httpConn is a downstream HTTP/1.1 connection: it cuts the input into heads and
// bodies, and runs one exchange at a time.
type httpConn struct {
	downstream

	in     []byte // input not consumed yet: a partial head, or what waits behind the running exchange
	scan   h1.HeadScanner
	x      *exchange     // that runs, or has just ended; loop.none while the connection is idle
	linger time.Duration // of the close

	// Small fields together: thousands of connections wait, and this is what they cost.
	owed    []requestID // see noteOwed; nil but for a client that sends ahead and reads late
	seq     uint32      // of exchanges: tells what comes late for an earlier one from what is for x
	state   connState
	opening opening
	partial bool // in holds the beginning of a head
	pumping bool // feed is on the stack
	behind  bool // while pumping: input follows the head that was just read
	// finished: the peer's FIN came.
	finished bool
	// undelivered: the last exchange ended, but its response has not left in full.
	undelivered bool
	hurried     bool // asked to go at the deadline while a response was leaving
}

// open begins with a connection that was accepted.
func (c *httpConn) open() {
	l := c.l
	err := c.admit()
	if err == nil {
		if c.opening != ready {
			c.arm(engine.TimerState, l.cfg.HeaderTimeout)
		} else {
			c.arm(engine.TimerState, l.cfg.IdleTimeout)
		}
		c.secure(nil)
		return
	}
	l.unadmitted.add()
	if !l.mayLinger() {
		l.refused(c.ln, whyNot(err, refusedLimit))
		c.linger = 0
		c.shut()
		return
	}
	c.arm(engine.TimerState, l.cfg.HeaderTimeout)
	c.secure(nil)
}

func (c *httpConn) received(b []byte) {
	if c.handle != nil {
		c.handle.Bytes(int64(len(b)), 0)
	}
	if c.opening == preamble {
		if b = c.readPreamble(b); len(b) == 0 {
			return
		}
	}
	if c.state == flushing { // the last response is leaving; a request that comes now was not seen
		return
	}
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		if !c.isH2(c.in) {
			c.proceed()
		}
		return
	}
	if !c.isH2(b) {
		c.keep(c.feed(b))
	}
}

// proceed feeds what was held back. It does nothing when feed is running already: that
// one goes on by itself.
func (c *httpConn) proceed() {
	if c.pumping {
		return
	}
	c.keep(c.feed(c.in))
}

// keep stores what feed left, which may alias c.in, and pauses reading if it has to
// wait for the exchange.
func (c *httpConn) keep(rest []byte) {
	if c.state == closing || c.state == flushing {
		rest = nil
	}
	switch {
	case len(rest) == 0:
		if c.in != nil {
			c.l.putBuffer(c.in)
			c.in = nil
		}
		c.resume(pauseHeld)
	case c.in == nil:
		c.in = append(c.l.getBuffer(), rest...)
	default:
		c.in = append(c.in[:0], rest...)
	}
	if len(rest) > 0 && !c.partial {
		c.pause(pauseHeld)
	} else {
		c.resume(pauseHeld)
	}
	if c.finished && c.state == awaitHead && (len(rest) == 0 || c.partial) {
		c.headCut()
	}
}

// feed consumes from the front of b what the state allows and returns the rest.
func (c *httpConn) feed(b []byte) []byte {
	c.pumping = true
	defer func() { c.pumping = false }()
	for len(b) > 0 {
		n := 0
		switch c.state {
		case awaitHead:
			// Whoever sends requests and reads no response waits: what is queued for one
			// client is bounded by highWater and one response of ours.
			if c.partial || !c.full() {
				n = c.head(b)
			}
		case exchanging:
			n = c.readBody(b)
		case discarding:
			n = c.discardBody(b)
		case flushing, closing:
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	return b
}

// headBegins notes that a head has begun and is not whole; false: that was known.
func (c *httpConn) headBegins() bool {
	if c.partial {
		return false
	}
	c.partial = true
	c.scan.Reset()
	c.arm(engine.TimerState, c.l.cfg.HeaderTimeout)
	return true
}

// takesH2 reports whether the next bytes may be the preface of HTTP/2.
func (c *httpConn) takesH2() bool {
	return c.seq == 0 && c.state == awaitHead && c.ln.cfg.TLS == nil && c.ln.cfg.HTTP2
}

// mayBecomeH2 reports whether b is the beginning of that preface, and more has to come.
func (c *httpConn) mayBecomeH2(b []byte) bool {
	return c.takesH2() && len(b) < len(h2.Preface) && string(b) == h2.Preface[:len(b)]
}

// isH2 changes to HTTP/2 a connection on which the client begins with the preface of that (RFC 9113 section
// 3.3, prior knowledge). On TLS the handshake has decided.
func (c *httpConn) isH2(b []byte) bool {
	whole := len(b) >= len(h2.Preface) && string(b[:len(h2.Preface)]) == h2.Preface
	if !c.takesH2() || !whole && !c.ln.cfg.OnlyHTTP2 {
		return false
	}
	in := c.in
	c.in = nil
	c.upgradeToH2(b)
	if in != nil {
		c.l.putBuffer(in)
	}
	return true
}

// head parses one request head at the front of b; 0: incomplete, or refused.
func (c *httpConn) head(b []byte) int {
	l := c.l
	if c.mayBecomeH2(b) {
		c.headBegins()
		return 0
	}
	if c.partial && !c.scan.Next(b, l.cfg.Limits) {
		return 0
	}
	n, err := l.req.Parse(b, l.cfg.Limits)
	if err != nil {
		c.partial = false
		c.startExchange()
		c.badRequest(err.(*h1.Error))
		return 0
	}
	if n == 0 {
		if c.headBegins() {
			c.scan.Next(b, l.cfg.Limits)
		}
		return 0
	}
	c.partial = false
	c.behind = len(b) > n
	c.begin()
	return n
}

func (c *httpConn) eof() {
	c.finished = true
	switch c.state {
	case awaitHead:
		if c.opening != ready {
			c.peerLeft()
			return
		}
		if len(c.in) == 0 || c.partial {
			c.headCut()
		}
	case exchanging:
		// A client may close its half after the request and still wants the answer.
		if c.x.phase == forwarding {
			c.requestEOF()
		}
	case discarding:
		c.peerLeft()
	case flushing, closing:
	}
}

// headCut: the client ended in the middle of a head. What is wrong with it already is said, as
// it would have been if all had come in one piece.
func (c *httpConn) headCut() {
	if _, err := c.l.req.Parse(c.in, c.l.cfg.Limits); err != nil {
		c.partial = false
		c.startExchange()
		c.badRequest(err.(*h1.Error))
		return
	}
	c.peerLeft()
}

func (c *httpConn) dialed(error) {}

// answer implements role.
func (c *httpConn) answer(v any) {
	switch v := v.(type) {
	case stageAnswer:
		c.x.answerStage(v)
	case siteAnswer:
		c.x.answerSite(v)
	case engine.Secured:
		c.secured(v)
	}
}

// lastWords is how long a connection that was never admitted may still take to send its
// request, once nobody will be admitted any more: it then gets an answer and not just FIN.
const lastWords = time.Second

// admitLate gives a handle to a connection that came before the policy was in force,
// so that a drain waits for it as for any other.
func (c *httpConn) admitLate() {
	if c.state == closing || c.state == flushing || c.admit() != nil {
		return
	}
	c.l.unadmitted.done()
	if c.x.running() {
		c.handle.Active()
	}
	if c.state == awaitHead && !c.partial && c.opening == ready {
		c.arm(engine.TimerState, c.l.cfg.IdleTimeout)
	}
}
