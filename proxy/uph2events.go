package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// What the core tells of an upstream connection: upH2 as h2.Events.

// of is the stream whose exchange still wants what comes.
func (u *upH2) of(s *h2.Stream) *upStream {
	st, ok := s.Owner.(*upStream)
	if !ok || st.x == nil {
		return nil
	}
	return st
}

// Head implements h2.Events.
func (u *upH2) Head(s *h2.Stream, fields []h2.Field, end bool) {
	if st := u.of(s); st != nil {
		u.l.walkOn(st.x, func() { st.head(fields, end) })
	}
}

// Interim implements h2.Events.
func (u *upH2) Interim(s *h2.Stream, fields []h2.Field) {
	st := u.of(s)
	if st == nil {
		return
	}
	x := st.x
	st.answered = true
	if x.interim++; x.interim > maxInterim {
		u.l.walkOn(x, func() { st.bad("the upstream sends too many informational responses") })
		return
	}
	u.l.walkOn(x, func() {
		if err := u.l.composeResponse(fields, false, false); err != nil {
			st.bad("the upstream's response is malformed: " + err.Detail)
			return
		}
		u.l.out = u.l.out[:0]
		x.passInterim(&u.l.resp)
		x.c.flush()
	})
}

// Data implements h2.Events.
func (u *upH2) Data(s *h2.Stream, b []byte, end bool) {
	if t := tunnelOf(s); t != nil {
		u.l.walkEnd(t.end, func() { t.data(b, end) })
		return
	}
	st := u.of(s)
	if st == nil {
		u.core.Consumed(s, len(b))
		return
	}
	u.l.walkOn(st.x, func() { st.data(b, end) })
}

// Trailers implements h2.Events.
func (u *upH2) Trailers(s *h2.Stream, fields []h2.Field) {
	if st := u.of(s); st != nil {
		own := ownFields(nil, fields)
		u.l.walkOn(st.x, func() { st.trailers(own) })
	}
}

// Reset implements h2.Events.
func (u *upH2) Reset(s *h2.Stream, why h2.Cause) {
	if t := tunnelOf(s); t != nil {
		t.part(errStreamBroke)
	}
	st := u.of(s)
	s.Owner = nil
	if st == nil {
		return
	}
	st.s = nil
	x := st.x
	u.l.walkOn(x, func() {
		call := x.overdue()
		switch {
		case call != nil && why.Code == h2.Cancel && !why.Local: // by the same deadline
			st.detach()
			call.deadline()
		case why.Local:
			st.u.l.stats.badResponses.Add(1)
			st.lost(false, "bad_response", "the upstream's response is malformed")
		default:
			st.lost(why.Unprocessed, "upstream_reset", "the upstream reset the request: "+why.Code.String())
		}
	})
	u.dirty()
}

// Done implements h2.Events.
func (u *upH2) Done(s *h2.Stream) {
	switch of := s.Owner.(type) {
	case *upStream:
		of.s, s.Owner = nil, nil
	case *tunnelStream:
		s.Owner = nil
		of.part(nil)
	}
	u.dirty() // somebody may wait for its place
}

// Room lets the client of a stream go on with its body.
func (u *upH2) Room(s *h2.Stream) {
	if t := tunnelOf(s); t != nil {
		u.l.walkEnd(t.end, t.room)
	} else if st := u.of(s); st != nil {
		u.l.walkOn(st.x, st.x.c.takeBody)
	}
}

// Settings implements h2.Events: the peer's limits are known, or have changed.
func (u *upH2) Settings() {
	u.helloDue = time.Time{}
	u.dirty()
}

// GoAway: nobody joins any more, and what the peer did not take has been reset. What runs is finished.
func (u *upH2) GoAway(uint32, h2.ErrorCode, []byte) {
	u.leavePool()
	u.dirty()
}

// TooLarge, Refused, NoticeAcked and Pong are not for clients, or for what this one does not ask.
func (u *upH2) TooLarge(*h2.Stream)       {}
func (u *upH2) Refused(uint32, h2.Reason) {}
func (u *upH2) NoticeAcked()              {}
func (u *upH2) Pong()                     {}
