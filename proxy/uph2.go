package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// upH2 is an upstream HTTP/2 connection. It belongs to one loop, and its streams answer exchanges of
// that loop. It stays in loop.origins until it takes no more streams.
type upH2 struct {
	half
	ep      *upstream.Endpoint
	core    *h2.Conn
	state   upState // upPooled: it is there, whether streams run or not
	tls     upTLS
	waiting []*upStream // exchanges that came while it was being made, or while it was full

	alarm    time.Time // for which TimerState is armed; zero: it is not
	idleDue  time.Time // while no stream is open: when it is closed for that
	helloDue time.Time // until the first frame of the peer
	born     time.Time
	heard    time.Time // when the last byte came
	suspect  bool      // a request waited in vain, and not a byte came meanwhile: nobody joins any more
	unsent   bool      // in loop.unsent
	finished bool      // the peer's FIN came
}

// The windows of an upstream connection. A client that takes nothing holds as much of a response as a stream has window, and
// not a byte of what others get: clients that do not know each other share the connection, so that its own window must
// be no bound, whatever the number of streams.
const (
	upWindow     = 128 << 10
	upConnWindow = 1 << 30
)

func (u *upH2) dialed(err error) {
	if err != nil {
		u.l.upstreamEnded()
		if u.state != upEnded {
			u.failed()
		}
		return
	}
	if u.state == upEnded { // given up meanwhile; the driver says Closed
		return
	}
	if u.secures() {
		return
	}
	u.ep.Connects.Add(1)
	u.begin()
}

// failed: the connection could not be made. Nothing was sent for anybody.
func (u *upH2) failed() {
	u.state = upEnded
	u.leavePool()
	u.ep.ConnectErrs.Add(1)
	u.ep.Failed(u.l.now())
	u.eachWaiting(func(x *exchange) { x.connectFailed(u.ep) })
}

// walkOn runs a part of the walk of x that another exchange's call brought about.
func (l *loop) walkOn(x *exchange, f func()) {
	defer l.containWalk(x)
	f()
}

// begin speaks HTTP/2 on a connection that stands.
func (u *upH2) begin() {
	l := u.l
	lim := l.cfg.Limits
	u.state, u.born = upPooled, l.now()
	u.core = h2.New(h2.Config{Client: true, StreamWindow: upWindow, ConnWindow: upConnWindow,
		HeaderList: lim.Head, HeaderFields: fieldLimit(lim.Fields), LowWater: highWater / 2, Pool: &l.h2Pool}, u)
	u.helloDue = l.now().Add(u.ep.Cluster().Config().ConnectTimeout)
	u.schedule(u.helloDue)
	u.serveWaiting()
	u.dirty()
}

func (u *upH2) received(b []byte) {
	if u.state != upPooled {
		return
	}
	u.heard = u.l.now()
	err := u.core.Receive(b, u.l.now().Sub(u.born))
	u.dirty()
	if err != nil {
		u.l.stats.badResponses.Add(1)
		u.end()
	}
}

func (u *upH2) eof() {
	u.finished = true
	if u.state == upPooled {
		u.end()
	}
}

// end gives the connection up: what runs on it has no whole response.
func (u *upH2) end() {
	if u.state == upEnded {
		return
	}
	busy := u.core.Streams() > 0
	u.state = upEnded
	u.leavePool()
	u.lose()
	if busy {
		u.l.sh.Abort(u.id)
	} else {
		u.l.sh.Close(u.id, 0)
	}
}

// lose tells every exchange that its response ends here.
func (u *upH2) lose() {
	u.core.Each(func(s *h2.Stream) {
		if t := tunnelOf(s); t != nil {
			t.part(errStreamBroke)
		}
		st := u.of(s)
		s.Owner = nil
		if st != nil { // others have their response already
			u.l.walkOn(st.x, st.broken)
		}
	})
	u.eachWaiting(func(x *exchange) { x.joinAnother(u.ep) })
}

// close ends a connection in good order, if nothing runs on it.
func (u *upH2) close() {
	if u.state == upEnded {
		return
	}
	u.core.Leave()
	u.l.out = u.core.Append(u.l.out[:0], pieceOut)
	u.send(u.l.out)
	u.state = upEnded
	u.leavePool()
	u.l.sh.Close(u.id, 0)
}

func (u *upH2) closed(end engine.End) {
	u.l.upstreamEnded()
	if u.state == upConnecting {
		if u.tls.runs {
			insecure(u.ep, end.Err)
		}
		u.failed()
		return
	}
	if u.state != upEnded {
		u.state = upEnded
		u.leavePool()
		u.lose()
	}
	if u.core != nil { // nil: its handshake failed
		u.core.Release()
	}
}

func (u *upH2) sent() {
	u.flushed()
	if u.state == upPooled {
		u.dirty()
	}
}

func (u *upH2) dirty() {
	if !u.unsent {
		u.unsent = true
		u.l.unsent = append(u.l.unsent, u)
	}
}

// flush sends what the core has, and serves who waits.
func (u *upH2) flush() {
	u.unsent = false
	if u.state != upPooled {
		return
	}
	u.serveWaiting()
	for u.state == upPooled && u.core.Wants() && !u.full() {
		u.l.out = u.core.Append(u.l.out[:0], pieceOut)
		u.send(u.l.out)
	}
	if u.state == upPooled {
		u.rest()
	}
}

// rest lets an idle connection wait for its next stream, or go.
func (u *upH2) rest() {
	switch {
	case u.core.Streams() > 0 || len(u.waiting) > 0:
		u.idleDue = time.Time{}
	case u.core.PeerLeft() || u.core.Exhausted() || u.ep.Gone() || u.stale() || u.suspect:
		u.close()
	case u.idleDue.IsZero():
		u.idleDue = u.l.now().Add(u.ep.Cluster().Config().IdleTimeout)
		u.schedule(u.idleDue)
	}
}

// idle reports whether nothing runs on it.
func (u *upH2) idle() bool {
	return u.state == upPooled && u.core.Streams() == 0 && len(u.waiting) == 0
}

func (u *upH2) fired(t engine.Timer) {
	switch t {
	case engine.TimerWrite:
		if u.state == upPooled && u.stalled(1) {
			u.ep.Failures.Add(1)
			u.ep.Failed(u.l.now())
			u.end()
		}
	case engine.TimerState:
		u.alarm = time.Time{}
		u.secured(errHandshakeTimeout)
		if u.state == upPooled {
			u.due()
		}
	case engine.TimerRead:
	}
}

func (u *upH2) contained() {
	if u.state == upPooled {
		u.core.Abort(h2.InternalError)
		u.state = upEnded
		u.leavePool()
		u.lose()
	}
	u.l.sh.Abort(u.id)
}

func (u *upH2) evict(drain.Cause) {}
func (u *upH2) moved(int64, bool) {}
