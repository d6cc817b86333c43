package lifecycle

import (
	"fmt"
	"strings"
	"time"
)

// Signal is a signal that asks to stop.
type Signal int

// The signals.
const (
	Terminate Signal = iota // SIGTERM, or the context of Run was cancelled
	Interrupt               // SIGINT
)

// String is the name of the signal.
func (s Signal) String() string {
	if s == Interrupt {
		return "SIGINT"
	}
	return "SIGTERM"
}

// Signal counts a signal: the first begins the lame duck, the second skips it, the
// third cuts what is left. Where the first waits for a turn, one more ends that wait, and the next
// is the second. One within 250 ms of the last that counted is a repeat (a
// process group and an init both forward it) and does nothing.
func (m *Machine) Signal(now time.Time, sig Signal) {
	if m.signals > 0 && now.Sub(m.lastSignal) < repeatWithin {
		return
	}
	m.lastSignal = now
	if m.signals == 0 && sig == Interrupt && m.cfg.Interactive {
		m.signals++ // who sits at the terminal does not wait for balancers
	}
	m.signals = min(m.signals+1, 3)
	m.park = false
	m.startClock(now)
	m.stop(now, sig.String())
}

// RequestDrain asks for a drain by API. With park the process stays in Drained, with
// everything but the traffic alive, until a signal; without, it exits. A request while
// the process is stopping anyway changes nothing.
func (m *Machine) RequestDrain(now time.Time, park bool) error {
	switch m.at {
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageServing, stageReadmit:
		m.park = park
		m.stop(now, "drain requested")
	case stageTurn, stageLameDuck, stageDraining, stageParked:
	case stageClosing, stageOver:
		return ErrTooLate
	}
	return nil
}

// Undo takes back a drain: from the lame duck the process goes back to Serving, by way
// of Admit. Later it is ErrTooLate. When nothing was asked for it does nothing.
func (m *Machine) Undo(now time.Time) error {
	switch m.at {
	case stageTurn: // nothing has happened yet
		m.endTurn(now, TurnUndone)
		m.at, m.signals, m.park, m.beatAt, m.budgetBy, m.killAt = stageServing, 0, false, time.Time{}, time.Time{}, time.Time{}
	case stageLameDuck:
		if len(m.errs) > 0 {
			return ErrCannotUndo
		}
		if m.handed {
			return ErrHandedOver
		}
		m.at, m.plan = stageReadmit, m.all(VerbAdmit)
		m.signals, m.park, m.acked, m.beatAt, m.budgetBy, m.killAt = 0, false, false, time.Time{}, time.Time{}, time.Time{}
		m.pump(now)
	case stageDraining, stageParked, stageClosing, stageOver:
		return ErrTooLate
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageServing, stageReadmit:
	}
	return nil
}

// Acknowledge says that balancers have stopped sending: the lame duck ends now.
func (m *Machine) Acknowledge(now time.Time) error {
	switch m.at {
	case stageLameDuck:
		if m.handed {
			return ErrHandedOver
		}
		m.acked = !m.cfg.Faults.AckIgnored
		m.stepLameDuck(now)
		return nil
	case stageDraining, stageParked, stageClosing, stageOver:
		return ErrTooLate
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageServing, stageTurn, stageReadmit:
	}
	return ErrNotLameDuck
}

// ServiceFailed reports that a service broke while it ran. The process stops by the
// drain path, and Run returns the error.
func (m *Machine) ServiceFailed(now time.Time, name string, err error) {
	m.fail(now, fmt.Errorf("run %s: %w", name, err))
}

// fail records an error and stops the process, if it is not stopping yet.
func (m *Machine) fail(now time.Time, err error) {
	if m.at == stageOver {
		return
	}
	m.errs = append(m.errs, err)
	m.park = false
	m.stop(now, err.Error())
}

// stop goes as far towards the end as the signals so far demand.
func (m *Machine) stop(now time.Time, reason string) {
	switch m.at {
	case stageNew:
		m.asked = reason
	case stageStarting, stageWaiting, stageAdmitting: // nothing was ever ready: no lame duck
		m.drain(now, reason)
	case stageServing, stageReadmit:
		if m.at == stageServing && m.cfg.TurnWait > 0 && m.signals < 2 && len(m.errs) == 0 {
			m.awaitTurn(now, reason)
		} else {
			m.leave(now, reason)
		}
	case stageTurn:
		switch {
		case len(m.errs) > 0:
			m.turnFor = reason
			m.goOn(now, TurnFailed)
		case m.signals >= 2:
			m.goOn(now, TurnSignal)
		case m.signals == 1:
			m.turnFor = reason // asked for by API before: now the process exits
		}
	case stageLameDuck:
		if m.signals >= 2 {
			m.endLameDuck(now, EndSignal)
		}
	case stageDraining:
		if m.signals >= 3 {
			m.cut(now)
		}
	case stageParked:
		m.budgetBy = now.Add(m.cfg.Budget)
		m.close(now)
		m.pump(now)
	case stageClosing:
		if m.signals >= 3 {
			m.budgetBy = earlier(m.budgetBy, now.Add(m.cfg.Grace))
		}
	case stageOver:
	}
}

// stopping notes the beginning of a stop.
func (m *Machine) stopping(now time.Time) {
	m.beatAt = now.Add(heartbeatEvery)
	if m.budgetBy.IsZero() {
		m.budgetBy = now.Add(m.cfg.Budget)
		if !m.killAt.IsZero() {
			m.budgetBy = m.killAt
		}
	}
}

// lameDuck begins the lame duck.
func (m *Machine) lameDuck(now time.Time, reason string) {
	m.stopping(now)
	if m.state != LameDuck { // during an undo it is that still
		m.switchTo(now, LameDuck, reason)
	}
	m.at, m.plan, m.acked = stageLameDuck, m.all(VerbLameDuck), false
	m.since = now
	m.lameDuckBy = now.Add(m.cfg.LameDuckMax)
	if m.handed {
		m.lameDuckBy = m.handedBy
		m.budgetBy = m.handedBy.Add(m.cfg.Budget)
	}
	m.hurry(now)
	m.pump(now)
}

// stepLameDuck ends the lame duck when its time has come.
func (m *Machine) stepLameDuck(now time.Time) {
	if m.at != stageLameDuck {
		return
	}
	switch quiet, judged := m.cfg.Quiet(now); {
	case m.acked:
		m.endLameDuck(now, EndAcknowledged)
	case !now.Before(m.lameDuckBy):
		m.endLameDuck(now, EndMax)
	case m.handed:
	case now.Before(m.since.Add(m.cfg.LameDuckMin)):
	case judged && m.cfg.LameDuckQuiet > 0 && quiet >= m.cfg.LameDuckQuiet:
		by := EndQuiet
		if since := now.Add(m.cfg.LameDuckQuiet - quiet); !since.After(m.since.Add(m.cfg.LameDuckMin)) {
			by = EndMin // that alone kept it
		}
		m.endLameDuck(now, by)
	}
}

// endLameDuck begins to drain and says what ended the lame duck.
func (m *Machine) endLameDuck(now time.Time, by End) {
	m.ended = by
	m.drain(now, "lame duck ended by "+by.String())
}

// quietAt is when the lame duck may end if nothing more arrives. It is a forecast, not
// a poll: an arrival moves it.
func (m *Machine) quietAt(now time.Time) time.Time {
	if m.cfg.LameDuckQuiet <= 0 || m.handed {
		return m.lameDuckBy
	}
	at := m.since.Add(m.cfg.LameDuckMin)
	if quiet, judged := m.cfg.Quiet(now); judged {
		at = later(at, now.Add(m.cfg.LameDuckQuiet-quiet))
	} else if !now.Before(at) {
		at = now.Add(m.cfg.LameDuckQuiet) // it may become possible to judge
	}
	return earlier(at, m.lameDuckBy)
}

// drain begins to drain.
func (m *Machine) drain(now time.Time, reason string) {
	m.stopping(now)
	m.switchTo(now, Draining, reason)
	m.at, m.plan = stageDraining, m.reversed(VerbDrain)
	m.drainBy = now.Add(m.cfg.Timeout)
	m.hurry(now)
	m.pump(now)
}

// hurry bounds a call of before the stop that is still under way: nothing else may be
// called until it returned, or is given up.
func (m *Machine) hurry(now time.Time) {
	if m.out == nil || !m.out.giveUp.IsZero() {
		return
	}
	m.out.giveUp = now.Add(m.cfg.Grace)
	if m.out.verb == VerbStart {
		m.pending = append(m.pending, Action{Kind: Cancel, Seq: m.out.seq, Cause: errStopping})
	}
}

// cut ends the time of the drain, and that of who lingers.
func (m *Machine) cut(now time.Time) {
	lingering := m.out != nil && m.out.verb == VerbDrain && now.Before(m.out.until)
	if !now.Before(m.drainBy) && !lingering {
		return
	}
	m.drainBy = earlier(m.drainBy, now)
	if m.out != nil {
		m.out.giveUp = now.Add(m.cfg.Grace)
		m.pending = append(m.pending, Action{Kind: Cancel, Seq: m.out.seq, Cause: errCutNow})
	}
}

// close begins to close.
func (m *Machine) close(now time.Time) {
	m.at, m.plan, m.beatAt = stageClosing, m.reversed(VerbClose), now.Add(heartbeatEvery)
	m.pending, m.held = append(m.pending, m.held...), nil
}

// finish ends the life.
func (m *Machine) finish(now time.Time) {
	m.at, m.plan, m.out, m.beatAt, m.budgetBy = stageOver, nil, nil, time.Time{}, time.Time{}
	if len(m.errs) > 0 {
		m.switchTo(now, Failed, m.errs[0].Error())
	} else {
		m.switchTo(now, Stopped, "everything is closed")
	}
	m.pending = append(m.pending, Action{Kind: Finish})
}

// stepBudget ends the life when its time is over, and names who used it up.
func (m *Machine) stepBudget(now time.Time) {
	if m.budgetBy.IsZero() || now.Before(m.budgetBy) {
		return
	}
	if m.state == LameDuck { // only if the budget does not fit; the end is the same
		m.ended = EndBudget
		m.switchTo(now, Draining, "budget used up")
	}
	if c := m.out; c != nil {
		m.pending = append(m.pending, Action{Kind: Cancel, Seq: c.seq, Cause: errCutNow})
		m.errs = append(m.errs, &StuckError{c.service.name, c.verb, now.Sub(c.began)})
	}
	if len(m.plan) > 0 {
		var left []string
		for _, c := range m.plan {
			left = append(left, c.verb.String()+" "+c.service.name)
		}
		m.errs = append(m.errs, fmt.Errorf("budget of %s used up before: %s", m.cfg.Budget, strings.Join(left, ", ")))
	}
	m.finish(now)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
