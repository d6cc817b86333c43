package enginetest

import (
	"bytes"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// scripted is a handler that writes down what happens, after the test's react had it.
type scripted struct {
	r  *rig
	sh engine.Shard
}

func (s *scripted) event(e event) {
	e.at = time.Now()
	if s.r.react != nil && s.r.react(s.sh, e) {
		return
	}
	e.data = bytes.Clone(e.data)
	s.r.write(e)
}

// Accepted implements engine.Handler.
func (s *scripted) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	s.event(event{kind: accepted, id: id, listener: listener, peer: peer})
}

// Dialed implements engine.Handler.
func (s *scripted) Dialed(id engine.ConnID, err error) {
	s.event(event{kind: dialed, id: id, err: err})
}

// Received implements engine.Handler.
func (s *scripted) Received(id engine.ConnID, b []byte) {
	s.event(event{kind: received, id: id, data: b})
}

// EOF implements engine.Handler.
func (s *scripted) EOF(id engine.ConnID) { s.event(event{kind: eof, id: id}) }

// Sent implements engine.Handler.
func (s *scripted) Sent(id engine.ConnID) { s.event(event{kind: sent, id: id}) }

// Moved implements engine.Handler.
func (s *scripted) Moved(_, src engine.ConnID, n int64, done bool) {
	s.event(event{kind: moved, id: src, n: n, done: done})
}

// Closed implements engine.Handler.
func (s *scripted) Closed(id engine.ConnID, end engine.End) {
	s.event(event{kind: closed, id: id, end: end})
}

// Fired implements engine.Handler.
func (s *scripted) Fired(id engine.ConnID, t engine.Timer) {
	s.event(event{kind: fired, id: id, timer: t})
}

// Answer implements engine.Handler.
func (s *scripted) Answer(id engine.ConnID, v any) {
	s.event(event{kind: answered, id: id, value: v})
}

// Notice implements engine.Handler. A function is the test's: it runs here, on the loop.
func (s *scripted) Notice(v any) {
	if f, ok := v.(func(engine.Shard)); ok {
		f(s.sh)
		return
	}
	s.event(event{kind: noticed, value: v})
}
