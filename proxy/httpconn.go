package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// connState is the state of a downstream HTTP/1.1 connection.
//
//	            head complete            authenticator must leave the loop
//	awaitHead ────────────────▶ (begin) ──────────────────────────────────▶ deciding
//	  ▲  ▲  ▲                      │  │ allowed                                │
//	  │  │  └── answered by us ────┘  ▼                                        │
//	  │  │                        forwarding ◀───────────────────────────────┘
//	  │  └── response complete ───────┤ │ 101
//	  │                               │ └──────▶ (tunnel: another role)
//	  └─ body read ── discarding ◀────┤ refused, with a small body to come
//	                                  ▼
//	           flushing ──────▶ closing      the response said goodbye, or must look truncated
type connState uint8

const (
	awaitHead  connState = iota // between requests, or in the middle of a head
	deciding                    // waits for Answer
	forwarding                  // an exchange with an upstream runs
	discarding                  // answered; the rest of a small request body is read and dropped
	flushing                    // the last response is leaving; then close
	closing                     // Close or Abort was called; only closed comes
)

func (s connState) String() string {
	switch s {
	case awaitHead:
		return "await_head"
	case deciding:
		return "deciding"
	case forwarding:
		return "forwarding"
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
	half
	ln     *listener
	ends   ends
	handle *drain.Conn // nil: not admitted (yet)

	in     []byte // input not consumed yet: a partial head, or what waits behind the running exchange
	scan   h1.HeadScanner
	x      *exchange     // that runs, or has just ended; loop.none while the connection is idle
	linger time.Duration // of the close

	// Small fields together: thousands of connections wait, and this is what they cost.
	serverName string      // of the TLS handshake
	owed       []requestID // see noteOwed; nil but for a client that sends ahead and reads late
	seq        uint32      // of exchanges: tells what comes late for an earlier one from what is for x
	state      connState
	opening    opening
	partial    bool // in holds the beginning of a head
	pumping    bool // feed is on the stack
	behind     bool // while pumping: input follows the head that was just read
	finished   bool // the peer's FIN came
	leaving    bool // its streams are to end: drain.CauseFarewell came
	// undelivered: the last exchange ended, but its response has not left in full.
	undelivered bool
	outcome     drain.Outcome // how closed reports it, if decided is set
	decided     bool
	waits       bool // for a connection of a cluster, as x.wait says
	hurried     bool // asked to go at the deadline while a response was leaving
}

// open begins with a connection that was accepted.
func (c *httpConn) open() {
	l := c.l
	err := l.admit(c)
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

// admit gets a handle. A connection that came before admission tries again with its
// first request: the policy may be in force by then.
func (l *loop) admit(c *httpConn) error {
	h, err := l.track(c.id, c.ln, c.ends.remote)
	if err == nil {
		c.handle = h
	}
	return err
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
		c.pump()
		return
	}
	c.keep(c.feed(b))
}

// pump feeds what was held back. It does nothing when feed is running already: that
// one goes on by itself.
func (c *httpConn) pump() {
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
		case forwarding:
			n = c.forwardBody(b)
		case discarding:
			n = c.discardBody(b)
		case deciding, flushing, closing:
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	return b
}

// head parses one request head at the front of b; 0: incomplete, or refused.
func (c *httpConn) head(b []byte) int {
	l := c.l
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
		if !c.partial {
			c.partial = true
			c.scan.Reset()
			c.scan.Next(b, l.cfg.Limits)
			c.arm(engine.TimerState, l.cfg.HeaderTimeout)
		}
		return 0
	}
	c.partial = false
	c.behind = len(b) > n
	c.begin(b[:n])
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
	case forwarding:
		c.requestEOF()
	case discarding:
		c.peerLeft()
	case deciding, flushing, closing:
		// A client may close its half after the request and still wants the answer.
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

// lastWords is how long a connection that was never admitted may still take to send its
// request, once nobody will be admitted any more: it then gets an answer and not just FIN.
const lastWords = time.Second

// admitLate gives a handle to a connection that came before the policy was in force,
// so that a drain waits for it as for any other.
func (c *httpConn) admitLate() {
	if c.state == closing || c.state == flushing || c.l.admit(c) != nil {
		return
	}
	c.l.unadmitted.done()
	if c.x.running {
		c.handle.Active()
	}
	if c.state == awaitHead && !c.partial && c.opening == ready {
		c.arm(engine.TimerState, c.l.cfg.IdleTimeout)
	}
}
