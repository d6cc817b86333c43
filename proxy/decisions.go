package proxy

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// The decision log: one line for each decision of a stage about a request or a connection, allowed or not. A route says what
// becomes of its decisions where the log has no room: they are dropped and counted, or what they are about waits.

// DecisionSink takes rendered decisions, whole lines. Loops call it, and it must return at once. [AccessWriter] is one.
type DecisionSink interface {
	AccessSink
	// TryLines takes lines, or reports false, takes nothing and counts nothing, because there is no room for them.
	TryLines(b []byte) bool
}

// decisionMode is what a route wants of the decision log. The zero value is keepDecisions.
type decisionMode uint8

const (
	keepDecisions  decisionMode = iota // as far as there is room
	awaitDecisions                     // nothing goes on before its decision has a place
	skipDecisions
)

var decisionModes = map[string]decisionMode{"": keepDecisions, "drop": keepDecisions, "block": awaitDecisions, "off": skipDecisions}

// decisionLog gathers the lines of one call of the driver.
type decisionLog struct {
	sink   DecisionSink
	buf    []byte
	parked int // exchanges of the loop that wait for room
}

func (d *decisionLog) flush() {
	if len(d.buf) > 0 {
		d.sink.WriteLines(d.buf)
		d.buf = d.buf[:0]
	}
}

// parked is a decision that waits for a place in the log.
type parked struct {
	d     authz.Decision
	line  []byte
	until time.Time // it waits for no longer
}

const (
	decisionRetry = 50 * time.Millisecond
	maxParked     = 1024 // exchanges of a loop: each holds a copy of its head
)

// decide acts on a decision of a stage once the log has it.
func (x *exchange) decide(d authz.Decision) {
	l := x.l
	if l.decisions.sink == nil || x.route.decisions == skipDecisions {
		x.act(d)
		return
	}
	line := len(l.decisions.buf)
	l.decisions.buf = x.appendDecision(l.decisions.buf, d)
	if x.route.decisions == keepDecisions {
		x.act(d)
		return
	}
	own := l.decisions.buf[line:]
	l.decisions.buf = l.decisions.buf[:line]
	l.decisions.flush() // in their order; it keeps its memory, so own is as it was
	switch {
	case l.decisions.sink.TryLines(own):
		x.act(d)
	case l.decisions.parked >= maxParked:
		x.unrecorded()
	default:
		l.decisions.parked++
		x.parked = &parked{d: d, line: append([]byte(nil), own...), until: l.now().Add(l.cfg.StageTimeout)}
		x.saved = l.req.Clone()
		x.phase = deciding
		x.c.arm(engine.TimerState, decisionRetry)
	}
}

// unpark lets go of the place that a waiting exchange has in the count.
func (x *exchange) unpark() {
	if x.parked != nil {
		x.parked = nil
		x.l.decisions.parked--
	}
}

// retryDecision tries again whether the log has room.
func (x *exchange) retryDecision() {
	l, c, p := x.l, x.c, x.parked
	recorded := l.decisions.sink.TryLines(p.line)
	if !recorded && l.now().Before(p.until) {
		c.arm(engine.TimerState, decisionRetry)
		return
	}
	x.unpark()
	x.resume()
	x.relocate()
	if recorded {
		x.act(p.d)
	} else {
		x.unrecorded()
	}
	c.proceed()
}

func (x *exchange) unrecorded() {
	x.reply(response{status: 503, reason: "decision_log_full", text: "the decision about this request cannot be recorded now", fields: retryAfter})
}

// appendDecision is a decision as a line of JSON.
func (x *exchange) appendDecision(b []byte, d authz.Decision) []byte {
	l, r := x.l, &x.l.areq
	b = l.beginDecision(b, d, x.snap.Version, r)
	b = appendMember(b, "request_id", x.id.bytes())
	b = appendMember(b, "listener", x.d.ln.cfg.Name)
	b = appendMember(b, "method", r.Method)
	if !l.log.redact[recHost] {
		b = appendMember(b, "host", r.Host)
	}
	if !l.log.redact[recPath] {
		b = appendMember(b, "path", r.Path)
	}
	if id := x.identity; id != nil {
		if !l.log.redact[recUser] {
			b = appendMember(b, "user", id.User)
		}
		b = appendMember(b, "auth_method", id.Method)
		if id.Session != nil {
			b = appendMember(b, "session", id.Session.ID)
		}
	}
	return append(b, "}\n"...)
}

// appendTCPDecision is the same for a connection of a TCP listener.
func (l *loop) appendTCPDecision(b []byte, d authz.Decision, version string, ln *listener) []byte {
	b = l.beginDecision(b, d, version, &l.areq)
	b = appendMember(b, "listener", ln.cfg.Name)
	return append(b, "}\n"...)
}

func (l *loop) beginDecision(b []byte, d authz.Decision, version string, r *authz.Request) []byte {
	b = append(b, `{"time":"`...)
	b = l.log.appendTime(b, l.now())
	b = append(b, `","msg":"decision"`...)
	b = appendMember(b, "decision", d.Verdict.String())
	b = appendMember(b, "reason", d.Reason)
	if d.Rule >= 0 {
		b = strconv.AppendInt(append(b, `,"rule":`...), int64(d.Rule), 10)
	}
	b = appendMember(b, "policy", version)
	b = appendMember(b, "route", r.Route)
	return l.appendSource(b, r.Source)
}

// appendSource writes the client's address, or the network that it is in.
func (l *loop) appendSource(b []byte, source netip.Addr) []byte {
	b = append(b, `,"source":"`...)
	if l.log.redact[recPeer] {
		b = appendNetwork(b, source)
	} else {
		b = source.AppendTo(b)
	}
	return append(b, '"')
}

func appendMember[T string | []byte](b []byte, name string, value T) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	b = appendEscaped(b, value)
	return append(b, '"')
}

// recordTCP puts the decision about a TCP connection into the log. False: it has no place there and must have one.
func (l *loop) recordTCP(d authz.Decision, version string, ln *listener, mode decisionMode) bool {
	if l.decisions.sink == nil || mode == skipDecisions {
		return true
	}
	line := len(l.decisions.buf)
	l.decisions.buf = l.appendTCPDecision(l.decisions.buf, d, version, ln)
	if mode == keepDecisions {
		return true
	}
	own := l.decisions.buf[line:]
	l.decisions.buf = l.decisions.buf[:line]
	l.decisions.flush()
	return l.decisions.sink.TryLines(own)
}

// resume takes up the walk again with the copy of what aliased the loop's buffers.
func (x *exchange) resume() {
	fields := append(x.l.req.Fields[:0], x.saved.Fields...) // the loop writes to its own
	x.l.req = *x.saved
	x.l.req.Fields = fields
	x.saved = nil
	x.phase = walking
}
