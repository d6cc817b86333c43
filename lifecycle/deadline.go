package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The deadline of a drain may be moved while it runs: later, as far as the platform's own
// limit allows, or sooner.

// ErrNotDraining refuses a new deadline when no drain runs.
var ErrNotDraining = errors.New("not draining: there is no deadline to move")

// ErrDeadlineOver refuses a new deadline once the old one is over.
var ErrDeadlineOver = errors.New("too late: the drain is over, or what is left is being cut")

// BeyondBudgetError refuses a deadline that the platform would not wait for.
type BeyondBudgetError struct {
	Latest time.Duration // from now on: how far it may be moved
	Budget time.Duration
}

// Error names the setting to change.
func (e *BeyondBudgetError) Error() string {
	return fmt.Sprintf("the deadline can be at most %s from now: the platform kills the process %s after the signal (platform.stop_timeout less platform.pre_stop), and closing takes the rest; raise platform.stop_timeout",
		max(0, e.Latest).Round(100*time.Millisecond), e.Budget)
}

// MoveDeadline gives the drain that runs until at; a time that has passed cuts what is
// left. ErrNotDraining before, ErrDeadlineOver once what is left is being cut, *BeyondBudgetError if a signal began the
// clock of the platform and it would end sooner. Without a signal nobody kills the process,
// and any time is allowed.
func (m *Machine) MoveDeadline(now, at time.Time) error {
	switch m.at {
	case stageDraining:
	case stageClosing, stageOver, stageParked:
		return ErrDeadlineOver
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageServing, stageTurn, stageReadmit, stageLameDuck:
		return ErrNotDraining
	}
	if !now.Before(m.drainBy) {
		return ErrDeadlineOver
	}
	if latest := m.latestDeadline(); !latest.IsZero() && at.After(latest) {
		return &BeyondBudgetError{latest.Sub(now), m.cfg.Budget}
	}
	m.moveDeadline(now, later(at, now))
	return nil
}

// latestDeadline is how far the deadline may be moved; zero: any time is allowed.
func (m *Machine) latestDeadline() time.Time {
	if m.killAt.IsZero() {
		return time.Time{}
	}
	return m.killAt.Add(-m.closeReserve())
}

// closeReserve is what the budget keeps for what comes after the drain.
func (m *Machine) closeReserve() time.Duration {
	return max(0, min(m.cfg.Closing, m.cfg.Budget-m.cfg.TurnWait-m.cfg.LameDuckMax-m.cfg.Timeout))
}

func (m *Machine) moveDeadline(now, at time.Time) {
	m.drainBy = at
	m.budgetBy = at.Add(m.closeReserve())
	if !m.killAt.IsZero() {
		m.budgetBy = earlier(m.budgetBy, m.killAt)
	}
	if m.out != nil && m.out.verb == VerbDrain && !m.cfg.Faults.DeadlineStays {
		m.out.until = m.drainUntil(now, m.out.service)
		m.out.giveUp = later(now, m.out.until).Add(m.cfg.Grace)
		m.pending = append(m.pending, Action{Kind: Move, Seq: m.out.seq, Service: m.out.service.name, Deadline: m.out.until})
	}
}

// startClock notes when the platform will kill the process: the first signal began that
// time, whoever asked for the drain. What was given to the drain beyond it is taken back.
func (m *Machine) startClock(now time.Time) {
	if !m.killAt.IsZero() {
		return
	}
	m.killAt = now.Add(m.cfg.Budget)
	if m.budgetBy.IsZero() {
		return
	}
	m.budgetBy = earlier(m.budgetBy, m.killAt)
	if latest := m.latestDeadline(); m.at == stageDraining && m.drainBy.After(latest) {
		m.moveDeadline(now, latest)
	}
}

// Mover is a Service whose Drain has to be told when the deadline of its context moved:
// Deadline of that context answers the new time by then, and this returns at once.
type Mover interface {
	DeadlineMoved(at time.Time)
}

// movable is the context of a call whose deadline may move. It ends at the deadline, or
// by cancel.
type movable struct {
	context.Context
	cancel context.CancelCauseFunc
	now    func() time.Time

	mu    sync.Mutex // guards what follows
	at    time.Time
	timer *time.Timer
}

func newMovable(parent context.Context, at time.Time, now func() time.Time) *movable {
	ctx, cancel := context.WithCancelCause(parent)
	m := &movable{Context: ctx, cancel: cancel, now: now, at: at}
	m.timer = time.AfterFunc(at.Sub(now()), m.expire)
	return m
}

// Deadline implements context.Context.
func (m *movable) Deadline() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at, true
}

// Err implements context.Context.
func (m *movable) Err() error {
	err := m.Context.Err()
	if err != nil && errors.Is(context.Cause(m.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// expire may come late, when the deadline has moved meanwhile.
func (m *movable) expire() {
	m.mu.Lock()
	due := !m.now().Before(m.at)
	m.mu.Unlock()
	if due {
		m.cancel(context.DeadlineExceeded)
	}
}

func (m *movable) move(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = at
	m.timer.Reset(at.Sub(m.now()))
}

// release ends it.
func (m *movable) release(cause error) {
	m.mu.Lock()
	m.timer.Stop()
	m.mu.Unlock()
	m.cancel(cause)
}
