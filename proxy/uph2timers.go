package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// schedule makes sure that due is called at t.
func (u *upH2) schedule(t time.Time) {
	if !u.alarm.IsZero() && !t.Before(u.alarm) {
		return
	}
	u.alarm = t
	u.arm(engine.TimerState, max(t.Sub(u.l.now()), time.Millisecond))
}

// due ends what has waited for too long.
func (u *upH2) due() {
	now := u.l.now()
	switch {
	case reached(u.helloDue, now):
		u.ep.Failures.Add(1)
		u.ep.Failed(now)
		u.end()
		return
	case reached(u.idleDue, now):
		u.close()
		return
	}
	next := earlier(u.helloDue, u.idleDue)
	u.core.Each(func(s *h2.Stream) {
		st := u.of(s)
		if st == nil {
			return
		}
		if reached(st.readDue, now) {
			if st.held || st.x.c.queued() > 0 { // the client is what stalls; its own timer bounds that
				st.x.c.watchStall()
				st.readDue = now.Add(u.ep.Cluster().Config().StreamIdle)
			} else {
				u.l.walkOn(st.x, st.silent)
				return
			}
		}
		next = earlier(next, st.readDue)
	})
	if !next.IsZero() && u.state == upPooled {
		u.schedule(next)
	}
	u.dirty()
}

func (st *upStream) silent() {
	x := st.x
	st.abandon()
	x.c.drop(errStreamIdle)
}
