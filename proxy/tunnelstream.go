package proxy

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// errStreamBroke is how a stream ends that was reset, or whose connection is gone.
var errStreamBroke = errors.New("the stream of the tunnel was reset")

// tunnelStream is an end of a tunnel that is a stream of an HTTP/2 connection (RFC 8441): its bytes are DATA, its FIN is
// END_STREAM, its reset RST_STREAM(CANCEL). Windows are the back-pressure: what the other side does not take is not given back.
type tunnelStream struct {
	end  *tunnelEnd
	on   tunnelStreams
	core *h2.Conn // of on
	s    *h2.Stream
	st   *h2Stream // a client's; nil: an upstream's

	over    bool // s is gone: closed was said, or is about to be
	held    bool // the other side takes no more
	back    int  // bytes that were passed on and not given back to the windows, because of that
	ended   bool // our END_STREAM is queued
	closing bool // close was called: what comes is dropped
	due     [numTunnelTimers]time.Time
}

// tunnelStreams is a connection whose streams may be ends of tunnels: h2Conn and upH2.
type tunnelStreams interface {
	conn() engine.ConnID
	schedule(t time.Time)
	dirty()
}

// A stream of a tunnel has one timer more than a connection.
const (
	timerLinger     = engine.NumTimers // bounds close
	numTunnelTimers = engine.NumTimers + 1
)

func (t *tunnelStream) conn() engine.ConnID { return t.on.conn() }
func (t *tunnelStream) begin()              {}

func (t *tunnelStream) send(b []byte) {
	if !t.over {
		t.s.Write(b, false)
		t.on.dirty()
	}
}

func (t *tunnelStream) queued() int {
	if t.over {
		return 0
	}
	return t.s.Queued()
}

func (t *tunnelStream) closeWrite() {
	if !t.over && !t.ended {
		t.ended = true
		t.s.Write(nil, true)
		t.on.dirty()
	}
}

func (t *tunnelStream) hold() { t.held = true }

func (t *tunnelStream) goOn() {
	t.held = false
	n := t.back
	t.back = 0
	t.consumed(n)
}

// consumed gives n bytes back to the windows.
func (t *tunnelStream) consumed(n int) {
	if !t.over && n > 0 {
		t.core.Consumed(t.s, n)
		t.on.dirty()
	}
}

// close ends our half, and waits for the peer to end its own, at most for linger.
func (t *tunnelStream) close(linger time.Duration) {
	if t.over || t.closing {
		return
	}
	t.closing = true
	t.due = [numTunnelTimers]time.Time{} // as the driver's Close does
	t.closeWrite()
	t.goOn()
	t.arm(timerLinger, max(linger, time.Millisecond))
}

// lingered: the peer had its time. What it did not take is cut off; otherwise it only hears that nobody reads any more.
func (t *tunnelStream) lingered() {
	if t.s.Queued() > 0 {
		t.abort()
		return
	}
	t.s.Discard()
	t.on.dirty()
}

func (t *tunnelStream) abort() {
	if t.over {
		return
	}
	s := t.s
	s.Owner = nil
	if t.st == nil {
		s.Reset(h2.Cancel)
		t.part(errStreamBroke)
		return
	}
	t.st.s = nil
	s.Reset(h2.Cancel)
	t.st.gone()
}

func (t *tunnelStream) arm(timer engine.Timer, d time.Duration) {
	if d <= 0 {
		t.due[timer] = time.Time{}
		return
	}
	at := t.end.l.now().Add(d)
	t.due[timer] = at
	t.on.schedule(at)
}

// fire runs the timers that are due.
func (t *tunnelStream) fire(now time.Time) {
	for timer := range numTunnelTimers {
		if t.over || !reached(t.due[timer], now) {
			continue
		}
		t.due[timer] = time.Time{}
		if timer == timerLinger {
			t.lingered()
		} else {
			t.end.fired(timer)
		}
	}
}

// next is when a timer is due; zero: none is armed.
func (t *tunnelStream) next() (next time.Time) {
	for _, at := range t.due {
		next = earlier(next, at)
	}
	return next
}

// data is what came on the stream.
func (t *tunnelStream) data(b []byte, end bool) {
	if len(b) > 0 {
		if !t.closing {
			t.end.received(b)
		}
		if t.held && !t.end.l.cfg.Faults.GiveWindowEarly {
			t.back += len(b)
		} else {
			t.consumed(len(b))
		}
	}
	if end && !t.closing && !t.over {
		t.end.eof()
	}
}

// room: the queue has become short.
func (t *tunnelStream) room() {
	if !t.over {
		t.end.sent()
	}
}

// part says that the stream is gone; its end hears of it when the call of the driver ends. nil: both sides had ended it.
func (t *tunnelStream) part(err error) {
	if t.over {
		return
	}
	t.over = true
	t.end.l.parted = append(t.end.l.parted, parted{t.end, err})
	t.on.dirty()
}

// parted is an end of a tunnel whose stream is gone, and how it went.
type parted struct {
	end *tunnelEnd
	err error
}

// partEnds tells the ends of tunnels that their streams are gone.
func (l *loop) partEnds() {
	for i := 0; i < len(l.parted); i++ { // one may bring about another
		p := l.parted[i]
		l.walkEnd(p.end, func() { p.end.closed(engine.End{Err: p.err}) })
	}
	clear(l.parted)
	l.parted = l.parted[:0]
}
