package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// A connection of the driver has three timers, and its streams need three each. So the times of streams are only
// noted, and one timer of the connection is armed for the earliest. It is not moved when that one is
// not needed any more: then it fires once for nothing.

// A stream has one timer more than a connection.
const (
	timerDeadline   = engine.NumTimers // of the call
	numStreamTimers = engine.NumTimers + 1
)

// schedule makes sure that due is called at t.
func (c *h2Conn) schedule(t time.Time) {
	if !c.alarm.IsZero() && !t.Before(c.alarm) {
		return
	}
	c.alarm = t
	c.half.arm(engine.TimerState, max(t.Sub(c.l.now()), time.Millisecond))
}

// due fires what is due, and arms the timer for the next.
func (c *h2Conn) due() {
	if c.closing {
		return
	}
	now := c.l.now()
	switch {
	case reached(c.headDue, now), reached(c.helloDue, now):
		c.l.stats.h2Slow.Add(1)
		c.decide(drain.Errored)
		c.core.Abort(h2.EnhanceYourCalm)
		c.endStreams()
		c.shut()
		return
	case reached(c.idleDue, now):
		c.l.stats.idleTimeouts.Add(1)
		c.decide(drain.IdleClosed)
		c.shut()
		return
	}
	c.goodbyeDue(now)
	c.core.Each(func(s *h2.Stream) {
		if st, ok := s.Owner.(*h2Stream); ok {
			st.fire(now)
		}
	})
	if c.closing {
		return
	}
	next := earlier(earlier(earlier(c.helloDue, c.headDue), c.idleDue), c.nextGoodbye())
	c.core.Each(func(s *h2.Stream) {
		st, ok := s.Owner.(*h2Stream)
		switch {
		case !ok:
		case st.tunnel != nil:
			next = earlier(next, st.tunnel.next())
		default:
			for _, t := range st.due {
				next = earlier(next, t)
			}
		}
	})
	if !next.IsZero() {
		c.schedule(next)
	}
	c.dirty()
}

func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// arm implements requester.
func (st *h2Stream) arm(t engine.Timer, d time.Duration) {
	if d <= 0 {
		st.due[t] = time.Time{}
		return
	}
	at := st.c.l.now().Add(d)
	st.due[t] = at
	st.c.schedule(at)
}

// fire runs the timers of a stream that are due. Each may end it.
func (st *h2Stream) fire(now time.Time) {
	c := st.c
	if st.tunnel != nil {
		c.current = st
		st.tunnel.fire(now)
		c.current = nil
		return
	}
	for t := range numStreamTimers {
		if st.s == nil || !reached(st.due[t], now) {
			continue
		}
		st.due[t] = time.Time{}
		c.current = st
		switch t {
		case engine.TimerRead:
			st.x.bodyTimeout()
		case engine.TimerState:
			st.x.stateTimeout()
		case engine.TimerWrite:
			st.judgeStall()
		case timerDeadline:
			st.deadline()
		}
		c.current = nil
	}
}

// watchStall begins to watch whether the client takes the response.
func (st *h2Stream) watchStall() {
	if st.due[engine.TimerWrite].IsZero() && st.c.l.cfg.WriteTimeout > 0 {
		st.mark = st.taken()
		st.arm(engine.TimerWrite, st.c.l.cfg.WriteTimeout)
	}
}

// taken is how much of the response the client's windows have let out.
func (st *h2Stream) taken() int64 { return st.written - int64(st.queued()) }

// judgeStall ends a stream whose client has had something to take for a whole WriteTimeout, and took
// too little of it.
func (st *h2Stream) judgeStall() {
	switch {
	case st.queued() == 0:
	case st.taken()-st.mark < st.c.l.leastTaken():
		st.c.l.stats.slow.Add(1)
		st.drop(errStalledClient)
	default:
		st.watchStall()
	}
}
