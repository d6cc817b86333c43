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
		if t := tunnelOf(s); t != nil {
			u.l.walkEnd(t.end, func() { t.fire(now) })
			next = earlier(next, t.next())
			return
		}
		st := u.of(s)
		if st == nil {
			return
		}
		if reached(st.sendDue, now) {
			if u.l.walkOn(st.x, st.judgeSend); st.x == nil {
				return
			}
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
		next = earlier(earlier(next, st.readDue), st.sendDue)
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

// watchSend begins to watch whether the upstream's windows let the request out. Those of the connection's
// socket are watched by themselves.
func (st *upStream) watchSend() {
	if l := st.u.l; st.sendDue.IsZero() && l.cfg.WriteTimeout > 0 {
		st.mark = st.taken()
		st.sendDue = l.now().Add(l.cfg.WriteTimeout)
		st.u.schedule(st.sendDue)
	}
}

func (st *upStream) taken() int64 { return st.written - int64(st.queued()) }

// judgeSend ends the exchange if the upstream has had something to take for a whole WriteTimeout, and took none of it.
func (st *upStream) judgeSend() {
	st.sendDue = time.Time{}
	switch {
	case st.queued() == 0:
	case st.taken() == st.mark:
		x := st.x
		st.abandon()
		x.failRequest(response{status: 504, reason: "upstream_stalled", text: "the upstream does not take the request"}, errTruncated)
	default:
		st.watchSend()
	}
}
