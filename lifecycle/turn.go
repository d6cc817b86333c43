package lifecycle

import (
	"context"
	"strconv"
	"time"
)

// A process that is one of a fleet asks for its turn before it stops to be ready, so that not all of them leave at once.
// It serves on meanwhile, as if nothing had been said. Nobody waits for ever: a signal always wins.

// TurnEnd is what ended the wait for a turn. The set is closed: it is in the receipt and a label of metrics.
type TurnEnd int

// The ends. TurnNone is of a stop that did not wait.
const (
	TurnNone      TurnEnd = iota
	TurnGiven             // as many as may were not away
	TurnDeadline          // its time was over: the stop goes on without
	TurnStoreAway         // nobody could be asked: the stop goes on without
	TurnSignal            // one more signal: the stop goes on without
	TurnFailed            // something in the process failed meanwhile: the stop goes on without
	TurnUndone            // there is no stop any more
	numTurnEnds
)

// String returns the end in snake_case.
func (e TurnEnd) String() string {
	switch e {
	case TurnNone:
		return "none"
	case TurnGiven:
		return "given"
	case TurnDeadline:
		return "deadline"
	case TurnStoreAway:
		return "store_away"
	case TurnSignal:
		return "signal"
	case TurnFailed:
		return "failed"
	case TurnUndone:
		return "undone"
	case numTurnEnds:
	}
	return "TurnEnd(" + strconv.Itoa(int(e)) + ")"
}

// TurnEnds lists all but TurnNone.
func TurnEnds() (list []TurnEnd) {
	for e := TurnGiven; e < numTurnEnds; e++ {
		list = append(list, e)
	}
	return list
}

// Skipped reports whether the stop went on without a turn.
func (e TurnEnd) Skipped() bool { return e != TurnNone && e != TurnGiven && e != TurnUndone }

// Turn is the wait for a turn of the latest stop. The zero value is a stop that did not wait.
type Turn struct {
	Asked time.Time // when the wait began
	Until time.Time // when it is over at the latest
	Ended time.Time // zero: it lasts
	By    TurnEnd
}

// Waits reports whether the process waits for its turn at this moment.
func (t Turn) Waits() bool { return !t.Asked.IsZero() && t.Ended.IsZero() }

// awaitTurn begins to wait: the process serves on.
func (m *Machine) awaitTurn(now time.Time, reason string) {
	m.at, m.turnFor = stageTurn, reason
	m.turn = Turn{Asked: now, Until: now.Add(m.cfg.TurnWait)}
	m.turns++
	m.beatAt = now.Add(heartbeatEvery)
	m.pending = append(m.pending, Action{Kind: Ask, Seq: m.turns})
}

// endTurn ends the wait, if it lasts. What comes next is the caller's.
func (m *Machine) endTurn(now time.Time, by TurnEnd) {
	m.turn.Ended, m.turn.By = now, by
	m.pending = append(m.pending, Action{Kind: Asked, Seq: m.turns})
}

// goOn ends the wait and begins the lame duck.
func (m *Machine) goOn(now time.Time, by TurnEnd) {
	m.endTurn(now, by)
	if by == TurnSignal && m.signals == 2 {
		m.signals = 1 // it has skipped the wait, and not yet the lame duck
	}
	m.leave(now, m.turnFor)
}

// leave begins the lame duck of a process that serves, or drains at once where there is none.
func (m *Machine) leave(now time.Time, reason string) {
	if m.signals >= 2 || m.cfg.LameDuckMax == 0 || m.cfg.Faults.LameDuckSkipped {
		m.drain(now, reason)
		return
	}
	m.lameDuck(now, reason)
}

// TurnOver is the answer to the Ask with that number: given, or a reason to go on without. A late one counts for nothing.
func (m *Machine) TurnOver(now time.Time, seq int, by TurnEnd) {
	if m.at == stageTurn && seq == m.turns {
		m.goOn(now, by)
	}
}

// stepTurn goes on without a turn when its time is over.
func (m *Machine) stepTurn(now time.Time) {
	if m.at == stageTurn && !now.Before(m.turn.Until) && !m.cfg.Faults.TurnForEver {
		m.goOn(now, TurnDeadline)
	}
}

// ask asks for a turn. The goroutine ends with its context, which the machine cancels; over joins it.
func (m *Manager) ask(life context.Context, a Action) {
	ctx, cancel := context.WithCancel(life)
	m.unask = cancel
	m.calls.Go(func() {
		by := m.cfg.Turn(ctx)
		m.feed(func(machine *Machine, now time.Time) { machine.TurnOver(now, a.Seq, by) })
	})
}
