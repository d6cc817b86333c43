package world

import (
	"bytes"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// h2Tap reads what the proxy writes on one HTTP/2 connection to an upstream: which stream carries whose request. It is
// a server that takes everything and answers at once, to nobody.
type h2Tap struct {
	h2end
	streams map[uint32]*carrier // open or not
	conn    *h2UpConn           // the upstream's end; nil until it was accepted
	dead    bool                // the upstream ended the connection
	left    bool                // it said that it takes no stream above
	above   uint32
}

// tapH2 sees what the proxy writes to an upstream of HTTP/2.
func (w *world) tapH2(s *sim.Sock, b []byte) {
	t := w.h2Taps[s]
	if t == nil {
		t = w.tapOf(s)
	}
	if err := t.core.Receive(b, w.since()); err != nil {
		w.violate("the proxy speaks no HTTP/2 to %s: %v", s.To, err)
	}
	for t.core.Wants() {
		t.core.Append(nil, 1<<20)
	}
}

func (w *world) tapOf(s *sim.Sock) *h2Tap {
	no := h2.Budget{Burst: -1}
	t := &h2Tap{h2end: h2end{w: w, sock: s}, streams: map[uint32]*carrier{}}
	t.core = h2.New(h2.Config{MaxStreams: 1 << 20, StreamWindow: 1 << 30, ConnWindow: 1 << 30, Floods: h2.Floods{Control: no, Resets: no, Dribble: no}}, t)
	w.h2Taps[s] = t
	return t
}

// isH2 reports whether what an upstream got begins with the preface of HTTP/2, of which the proxy sends all at once.
func isH2(b []byte) bool { return bytes.HasPrefix(b, []byte(h2.Preface[:3])) }

// Head implements h2.Events.
func (t *h2Tap) Head(s *h2.Stream, fields []h2.Field, end bool) {
	k := &carrier{sock: t.sock, tap: t, broke: t.dead || t.left && s.ID() > t.above}
	t.streams[s.ID()] = k
	t.w.carries(k, fieldOf(fields, ":path"))
	if end {
		t.done(s)
	}
}

// Data implements h2.Events.
func (t *h2Tap) Data(s *h2.Stream, b []byte, end bool) {
	t.core.Consumed(s, len(b))
	if end {
		t.done(s)
	}
}

func (t *h2Tap) done(s *h2.Stream) { s.Head([]h2.Field{pair(":status", "200")}, true) }

// broken: the upstream ended the connection. What it had answered may be lost with that, unless the proxy had it all.
func (t *h2Tap) broken() {
	t.dead = true
	got := t.conn.sock.Unacked() == 0
	for _, r := range t.conn.answered {
		if !got && r.sound != nil {
			r.flawed = true
		}
	}
	for _, k := range t.streams { // only marked: the order does not matter
		k.broke = true
	}
}

// leaves: the upstream takes no more streams than it has.
func (t *h2Tap) leaves(above uint32) {
	t.left, t.above = true, above
	for id, k := range t.streams {
		if id > above {
			k.broke = true
		}
	}
}
