package proxy

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// farewell is what a tunnel has that carries a WebSocket: it knows where frames end, and can say
// goodbye to both sides in their own language. websocket.Session decides; this does it.
//
// Its bytes are read and not spliced, but for the payload of a large frame: what that costs is a
// copy of each small frame through our memory, and nothing where TLS is spoken, which is copied
// in any case.
type farewell struct {
	p       *tunnelPair
	s       *websocket.Session
	code    websocket.Code // of the route; 0: by the occasion
	parting bool           // both sides were told, or never will be: the tunnel is over, and each ends by itself
	hasty   bool           // there is no more time for politeness
	evicted bool           // an operator wants it gone
	ended   [2]bool        // a side's FIN came
	closing [2]bool        // Close or Abort was called for a side
}

// partBound is how long an operator waits for a WebSocket that he closes.
const partBound = time.Second

// isWebSocket reports whether a 101 switches to RFC 6455.
func isWebSocket(protocol []byte) bool { return bytes.EqualFold(protocol, []byte("websocket")) }

// follow makes a tunnel one that carries a WebSocket, from its first byte on.
func (p *tunnelPair) follow(code websocket.Code) {
	p.bye = &farewell{p: p, s: websocket.NewSession(), code: code}
	p.bye.s.Careless = p.l.cfg.Faults.CloseInsideFrame
}

// carry passes on what came from one side, or drops what stands behind a Close of ours.
func (w *farewell) carry(from tunnel.Side, b []byte) {
	p := w.p
	for len(b) > 0 {
		n, pass := w.s.Take(websocket.Peer(from), b)
		switch {
		case pass && !w.closing[from.Other()]: // closing: this stands behind a Close of the sender's own
			p.pass(from, b[:n])
		case from == tunnel.Downstream:
			p.count(from, n)
		}
		b = b[n:]
		w.proceed()
	}
}

// begin says goodbye, and waits for both sides to answer; bound > 0: for no longer. False: there is nothing to wait for.
func (w *farewell) begin(bound time.Duration) bool {
	p := w.p
	if p.t.State() == tunnel.Finished || w.s.Lost() || p.ends[tunnel.Downstream].gone || p.ends[tunnel.Upstream].gone {
		return w.parting
	}
	patience := p.l.cfg.FarewellLead / 4
	if bound > 0 {
		patience = bound / 4
		for _, end := range p.ends {
			end.arm(engine.TimerWrite, bound)
		}
	}
	p.ends[tunnel.Upstream].arm(engine.TimerRead, max(patience, time.Millisecond))
	w.s.Begin()
	w.proceed()
	return true
}

func (w *farewell) byOperator() bool {
	w.evicted = true
	return w.begin(partBound)
}

// proceed tells whoever can be told, and closes what is over.
func (w *farewell) proceed() {
	p := w.p
	if p.t.State() == tunnel.Finished && !w.parting { // it ended as any tunnel
		return
	}
	for to, due := w.s.Due(); due; to, due = w.s.Due() {
		w.tell(tunnel.Side(to))
	}
	if !w.s.Begun() {
		return
	}
	if !w.parting && w.s.BothTold() {
		w.leave(tunnel.Completed)
		for _, end := range p.ends { // whatever comes is dropped
			end.goOn()
		}
	}
	if !w.parting {
		return
	}
	for side, end := range p.ends {
		if w.s.Over(websocket.Peer(side)) && !w.closing[side] {
			w.part(end)
		}
	}
}

// leave ends the tunnel, and neither of its ends.
func (w *farewell) leave(why tunnel.Cause) {
	w.parting, w.p.outcome = true, tunnel.Outcome{Cause: why}
	w.p.do(w.p.t.Leave())
}

// part ends a side that was told and has answered. A client is closed at once, since the server
// of a WebSocket closes first (RFC 6455 section 7.1.1); the upstream is given time to do so.
func (w *farewell) part(end *tunnelEnd) {
	l := end.l
	switch {
	case w.hasty:
		w.close(end, cutLinger)
	case end.side == tunnel.Upstream && !w.ended[end.side] && !end.gone:
		end.arm(engine.TimerRead, max(l.cfg.Linger, time.Millisecond))
	default:
		w.close(end, l.cfg.Linger)
	}
}

func (w *farewell) close(end *tunnelEnd, linger time.Duration) {
	w.closing[end.side] = true
	if !end.gone {
		end.close(linger)
	}
}

// eof: a side will send no more. False: the tunnel has to deal with it.
func (w *farewell) eof(from tunnel.Side) bool {
	w.ended[from] = true
	w.s.Ended(websocket.Peer(from))
	w.proceed()
	return w.parting
}

// fired: patience is over, or the time that something may take.
func (w *farewell) fired(e *tunnelEnd, t engine.Timer) {
	switch {
	case t == engine.TimerWrite && !w.hasty:
		w.cut()
	case t == engine.TimerRead && !w.parting:
		w.s.Late()
		w.proceed()
	case t == engine.TimerRead && w.s.Over(websocket.Peer(e.side)) && !w.closing[e.side]:
		w.close(e, e.l.cfg.Linger)
	}
}

// cut ends it now. Whoever stands between two frames is told even so; whoever was told is not
// reset, which could destroy that on its way.
func (w *farewell) cut() {
	p := w.p
	if p.t.State() == tunnel.Finished && !w.parting {
		p.hurry()
		return
	}
	late := w.closing
	w.hasty = true
	if !w.s.Lost() {
		w.s.Begin()
		w.s.Late()
		w.proceed()
	}
	if !w.parting {
		w.leave(tunnel.Cut)
	}
	for side, end := range p.ends {
		switch {
		case end.gone:
		case late[side]:
			p.hurried = true
			end.abort()
		case w.closing[side]: // just now: both had said all
		default:
			if !w.s.Over(websocket.Peer(side)) {
				p.outcome = tunnel.Outcome{Cause: tunnel.Cut}
			}
			if w.s.IsTold(websocket.Peer(side)) {
				w.close(end, cutLinger)
				continue
			}
			w.closing[side] = true
			end.abort()
		}
	}
}

// closed: the connection of a side is gone. False: the tunnel has to deal with it.
func (w *farewell) closed(side tunnel.Side, end engine.End) bool {
	if !w.s.Begun() {
		return false
	}
	if w.parting && end.Err != nil && !w.s.Over(websocket.Peer(side)) && w.p.outcome.Cause == tunnel.Completed {
		w.p.outcome = tunnel.Outcome{Cause: tunnel.Broken, Side: side}
	}
	w.s.Ended(websocket.Peer(side))
	w.proceed()
	if w.parting && w.p.left == 1 && w.s.Answered() {
		w.p.l.stats.farewellsAnswered.Add(1)
	}
	return w.parting
}

// evict is asked for by the tracker.
func (w *farewell) evict(cause drain.Cause) {
	switch {
	case cause == drain.CauseFarewell:
		w.begin(0)
	case cause == drain.CauseOperator && !w.parting && w.byOperator():
	case cause.Cuts():
		w.cut()
	}
}
