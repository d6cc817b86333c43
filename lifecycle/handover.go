package lifecycle

import (
	"errors"
	"time"
)

// Errors of a hand-over.
var (
	// ErrNotServing refuses a hand-over: only who serves has something to hand over.
	ErrNotServing = errors.New("not serving")
	// ErrHandedOver refuses an undo or an acknowledgement: a successor serves, and whoever
	// watches it decides.
	ErrHandedOver = errors.New("a successor serves: nothing is to be undone here")
)

// handedOver is the reason of the edge that begins a hand-over.
const handedOver = "handed over"

// HandOver says that a successor serves at the same sockets. The lame duck begins, with
// nothing of its usual times: it lasts until Confirm, TakeBack or a second signal, and at
// most until by. Only a process that serves can hand over and take back.
//
// Race: a stop that began a moment before. The successor has the sockets by now, so what
// could still be undone may not be: two would serve, each of which takes the other for
// gone. The process drains at once, and ErrNotServing says that the successor is on its own.
func (m *Machine) HandOver(now, by time.Time) error {
	switch m.at {
	case stageServing:
		m.handed, m.handedBy = true, by
		m.lameDuck(now, handedOver)
		return nil
	case stageTurn, stageLameDuck, stageReadmit:
		if m.at == stageTurn {
			m.endTurn(now, TurnGiven) // the successor serves: nobody leaves the fleet
		}
		m.handed, m.ended = true, EndHandedOver
		m.drain(now, "handed over during a stop: the successor is on its own")
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageDraining, stageParked, stageClosing, stageOver:
	}
	return ErrNotServing
}

// Confirm says that the successor stands: the lame duck ends, what is open is drained.
func (m *Machine) Confirm(now time.Time) {
	if m.at == stageLameDuck && m.handed {
		m.ended = EndHandedOver
		m.drain(now, "handed over: the successor stands")
	}
}

// TakeBack says that the successor failed. The process serves again, by way of Admit; or,
// if it was told to stop meanwhile, it drains. ErrTooLate if it drains already.
func (m *Machine) TakeBack(now time.Time) error {
	if m.at != stageLameDuck || !m.handed {
		return ErrTooLate
	}
	m.handed = false
	if m.signals > 0 {
		m.ended = EndSignal
		m.drain(now, "told to stop while a successor was on trial")
		return nil
	}
	return m.Undo(now)
}

// Cut ends whatever is left now, as three signals would: of several draining generations
// the oldest makes room.
func (m *Machine) Cut(now time.Time, reason string) {
	m.signals, m.park = 3, false
	m.stop(now, reason)
	if m.at == stageDraining {
		m.stop(now, reason)
	}
}

// HandOver is Machine.HandOver.
func (m *Manager) HandOver(by time.Time) (err error) {
	m.feed(func(machine *Machine, now time.Time) { err = machine.HandOver(now, by) })
	return err
}

// Confirm is Machine.Confirm.
func (m *Manager) Confirm() {
	m.feed(func(machine *Machine, now time.Time) { machine.Confirm(now) })
}

// TakeBack is Machine.TakeBack.
func (m *Manager) TakeBack() (err error) {
	m.feed(func(machine *Machine, now time.Time) { err = machine.TakeBack(now) })
	return err
}

// Cut is Machine.Cut.
func (m *Manager) Cut(reason string) {
	m.feed(func(machine *Machine, now time.Time) { machine.Cut(now, reason) })
}
