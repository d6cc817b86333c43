package proxy

import (
	"encoding/binary"
	"fmt"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// tell sends a Close to one side.
func (w *farewell) tell(to tunnel.Side) {
	p, l := w.p, w.p.l
	w.s.Told(websocket.Peer(to))
	code, reason := w.words()
	if to == tunnel.Upstream {
		var key [4]byte
		binary.LittleEndian.PutUint32(key[:], uint32(l.rnd.Uint64()))
		l.out = websocket.AppendClose(l.out[:0], code, reason, &key)
	} else {
		l.out = websocket.AppendClose(l.out[:0], code, reason, nil)
		p.count(tunnel.Upstream, len(l.out))
		if p.barredFor == goesOn { // by a drain, or an operator
			p.owner().Told()
		}
		l.stats.farewells.Add(1)
	}
	if end := p.ends[to]; !end.gone {
		end.send(l.out)
	}
	p.ends[to.Other()].goOn() // what comes from there goes nowhere any more
}

// owner is the handle that the tunnel belongs to.
func (p *tunnelPair) owner() *drain.Conn {
	if p.within != nil {
		return p.within.handle
	}
	return p.handle
}

// words are what a Close says: why and, unless it is for good, after how many seconds to come back, which differs from
// one to the next so that not all come back at once.
func (w *farewell) words() (code websocket.Code, reason string) {
	why := w.p.barredFor
	if why != goesOn && why != streamTooOld {
		return websocket.PolicyViolation, why.text()
	}
	code = w.code
	if code == 0 {
		code = websocket.GoingAway
		if w.p.l.succeeded.Load() {
			code = websocket.ServiceRestart
		}
	}
	what := "this proxy stops"
	switch {
	case why == streamTooOld:
		what = why.text()
	case w.evicted:
		what = "closed by an operator"
	case code == websocket.ServiceRestart:
		what = "this proxy restarts"
	}
	return code, fmt.Sprintf("%s; retry-after=%d", what, 1+w.p.l.rnd.Uint64()%5)
}
