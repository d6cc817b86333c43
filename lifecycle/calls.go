package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// call is a method of a service that is to be called, or is being called.
type call struct {
	service *member
	verb    Verb
	seq     int
	began   time.Time
	giveUp  time.Time // zero: never
	until   time.Time // of Drain: the deadline of its context
}

// pump makes the next call of the plan, or goes on if the plan is done.
func (m *Machine) pump(now time.Time) {
	for m.out == nil && m.at != stageOver {
		if len(m.plan) == 0 {
			if !m.planDone(now) {
				return
			}
			continue
		}
		c := m.plan[0]
		m.plan = m.plan[1:]
		m.seq++
		c.seq, c.began = m.seq, now
		action := Action{Kind: Call, Service: c.service.name, Verb: c.verb, Seq: c.seq}
		switch c.verb {
		case VerbStart, VerbAdmit: // may take as long as it takes: nothing is admitted yet
			if m.at == stageReadmit {
				c.giveUp = now.Add(m.cfg.Grace)
			}
		case VerbLameDuck:
			c.giveUp = now.Add(m.cfg.Grace)
		case VerbDrain:
			c.until = m.drainUntil(now, c.service)
			action.Deadline = c.until
			c.giveUp = later(now, c.until).Add(m.cfg.Grace)
		case VerbClose:
			// A drain that ended early leaves time. On a busy machine releasing an inotify
			// instance alone was seen to take more than a second.
			c.giveUp = later(now, m.drainBy).Add(m.cfg.Grace)
		}
		m.out = &c
		m.pending = append(m.pending, action)
	}
}

// drainUntil is when the Drain of a service that is called now has to be over. Who lingers has time of its own, which begins
// when the others have used theirs: what a drain cut is known only then.
func (m *Machine) drainUntil(now time.Time, s *member) time.Time {
	if s.lingers == 0 || m.signals >= 3 {
		return m.drainBy
	}
	until := now.Add(s.lingers)
	if !m.budgetBy.IsZero() {
		until = earlier(until, m.budgetBy.Add(-m.cfg.Grace))
	}
	return later(until, m.drainBy)
}

// planDone goes on after the last call of a plan. It reports whether anything changed.
func (m *Machine) planDone(now time.Time) bool {
	switch m.at {
	case stageStarting:
		m.at = stageWaiting
		m.reason = "waiting for init targets"
		m.pending = append(m.pending, Action{Kind: Publish, From: Starting, State: Starting, Reason: m.reason})
		return m.admit()
	case stageAdmitting, stageReadmit:
		reason := "admitted"
		if m.at == stageReadmit {
			reason = "drain undone"
			m.budgetBy = time.Time{}
		}
		m.at, m.beatAt = stageServing, time.Time{}
		m.switchTo(now, Serving, reason)
	case stageDraining:
		if m.park {
			m.at, m.beatAt, m.budgetBy = stageParked, time.Time{}, time.Time{}
			m.switchTo(now, Drained, "drained; parked until a signal")
			return false
		}
		m.close(now)
		return true
	case stageClosing:
		m.finish(now)
	case stageNew, stageWaiting, stageServing, stageTurn, stageLameDuck, stageParked, stageOver:
	}
	return false
}

// admit plans the admission if every target is ready, and reports whether it did.
func (m *Machine) admit() bool {
	if m.at != stageWaiting {
		return false
	}
	missing := 0
	for _, t := range m.targets {
		if !t.ready {
			missing++
		}
	}
	if missing > 0 && !(missing == 1 && m.cfg.Faults.AdmitEarly) {
		return false
	}
	m.at = stageAdmitting
	m.plan = m.all(VerbAdmit)
	return true
}

// all plans a verb for every started service, in order of Register.
func (m *Machine) all(v Verb) (plan []call) {
	for _, s := range m.services {
		if s.started {
			plan = append(plan, call{service: s, verb: v})
		}
	}
	return plan
}

// reversed is all in reverse.
func (m *Machine) reversed(v Verb) []call {
	plan := m.all(v)
	if !m.cfg.Faults.DrainInOrder {
		slices.Reverse(plan)
	}
	return plan
}

// Returned reports the end of call seq. One that was given up counts for nothing.
func (m *Machine) Returned(now time.Time, seq int, err error) {
	if m.out == nil || m.out.seq != seq {
		return
	}
	c := *m.out
	m.out = nil
	if c.verb == VerbStart && err == nil {
		c.service.started = true
		if m.at == stageDraining { // it was told to stop, and came up all the same
			m.plan = m.reversed(VerbDrain)
		}
	}
	// A start that was told to stop and stopped is no failure.
	if err != nil && !(c.verb == VerbStart && m.at != stageStarting && errors.Is(err, errStopping)) {
		m.fail(now, fmt.Errorf("%s %s: %w", c.verb, c.service.name, err))
	}
	m.pump(now)
}

// stepCall gives up a call that is late.
func (m *Machine) stepCall(now time.Time) {
	if m.out == nil || m.out.giveUp.IsZero() || now.Before(m.out.giveUp) {
		return
	}
	c := *m.out
	m.out = nil
	m.pending = append(m.pending, Action{Kind: Cancel, Seq: c.seq, Cause: errCutNow})
	m.fail(now, &StuckError{c.service.name, c.verb, now.Sub(c.began)})
	m.pump(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
