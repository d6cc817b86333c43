package enginetest

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// What the driver calls: each call is judged, then passed on.

// Accepted implements engine.Handler.
func (w *watch) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	w.begin("Accepted")
	defer w.end()
	w.add(id, open)
	w.h.Accepted(id, listener, peer)
}

// Dialed implements engine.Handler.
func (w *watch) Dialed(id engine.ConnID, err error) {
	w.begin("Dialed")
	defer w.end()
	a := w.find("Dialed", id)
	switch a.phase {
	case dialing:
	case open:
		w.fault("Dialed(%#x) of a connection that is open", id)
	case ending:
		w.fault("Dialed(%#x) after Close or Abort", id)
	}
	a.phase = max(a.phase, open)
	if err != nil {
		w.remove(id)
	}
	w.h.Dialed(id, err)
}

// Received implements engine.Handler. The handler gets a copy that is spoiled as soon
// as it returns: whoever keeps b keeps rubbish.
func (w *watch) Received(id engine.ConnID, b []byte) {
	w.begin("Received")
	defer w.end()
	a := w.running("Received", id)
	switch {
	case len(b) == 0:
		w.fault("Received(%#x) of nothing", id)
	case a.paused:
		w.fault("Received(%#x) while paused", id)
	case a.eof:
		w.fault("Received(%#x) after EOF", id)
	case a.moving:
		w.fault("Received(%#x) while a Move runs", id)
	}
	w.got = append(w.got[:0], b...)
	w.h.Received(id, w.got)
	spoil(w.got)
}

// EOF implements engine.Handler.
func (w *watch) EOF(id engine.ConnID) {
	w.begin("EOF")
	defer w.end()
	a := w.running("EOF", id)
	switch {
	case a.paused:
		w.fault("EOF(%#x) while paused", id)
	case a.eof:
		w.fault("EOF(%#x) twice", id)
	}
	a.eof = true
	w.h.EOF(id)
}

// Sent implements engine.Handler.
func (w *watch) Sent(id engine.ConnID) {
	w.begin("Sent")
	defer w.end()
	a := w.running("Sent", id)
	if !a.owed {
		w.fault("Sent(%#x) but nothing was sent since the last", id)
	}
	if n := w.sh.Queued(id); n != 0 {
		w.fault("Sent(%#x) with %d bytes queued", id, n)
	}
	a.owed = false
	w.h.Sent(id)
}

// Moved implements engine.Handler.
func (w *watch) Moved(dst, src engine.ConnID, n int64, done bool) {
	w.begin("Moved")
	defer w.end()
	a := w.running("Moved", src)
	if !a.moving {
		w.fault("Moved(%#x) without a Move", src)
	}
	if done {
		a.moving = false
		if to := w.conns[dst]; to != nil {
			to.filling = 0
		}
	}
	w.h.Moved(dst, src, n, done)
}

// Closed implements engine.Handler.
func (w *watch) Closed(id engine.ConnID, end engine.End) {
	w.begin("Closed")
	defer w.end()
	a := w.find("Closed", id)
	switch {
	case a.phase == dialing && end.Err == nil:
		w.fault("Closed(%#x) in good order before Dialed", id)
	case a.phase == open && end.Err == nil && !(a.eof && a.fin):
		w.fault("Closed(%#x) in good order that nobody asked for (EOF %v, CloseWrite %v)", id, a.eof, a.fin)
	case end.Unsent < 0, end.Discarded < 0:
		w.fault("Closed(%#x) with a negative count: %+v", id, end)
	case end.Discarded > 0 && a.phase != ending:
		w.fault("Closed(%#x): %d bytes discarded without a Close", id, end.Discarded)
	}
	w.remove(id)
	w.h.Closed(id, end)
}

// Fired implements engine.Handler.
func (w *watch) Fired(id engine.ConnID, t engine.Timer) {
	w.begin("Fired")
	defer w.end()
	a := w.find("Fired", id)
	now := w.sh.Now()
	switch {
	case a.phase == ending:
		w.fault("Fired(%#x, %d) after Close or Abort", id, t)
	case a.due[t].IsZero():
		w.fault("Fired(%#x, %d) but it is not armed", id, t)
	case now.Before(a.due[t]):
		w.fault("Fired(%#x, %d) early by %v", id, t, a.due[t].Sub(now))
	}
	a.due[t] = time.Time{}
	w.h.Fired(id, t)
}

// Answer implements engine.Handler.
func (w *watch) Answer(id engine.ConnID, v any) {
	w.begin("Answer")
	defer w.end()
	a := w.find("Answer", id)
	if a.phase == ending {
		w.fault("Answer(%#x) after Close or Abort", id)
	}
	if a.answers--; a.answers < 0 {
		w.fault("Answer(%#x) that nobody asked for", id)
	}
	w.h.Answer(id, v)
}

// Notice implements engine.Handler.
func (w *watch) Notice(v any) {
	w.begin("Notice")
	defer w.end()
	w.h.Notice(v)
}
