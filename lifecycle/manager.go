package lifecycle

import (
	"context"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// Manager drives services through the life of a process. It is the shell of Machine:
// it owns the clock, the signals and the goroutines. Make one with New.
type Manager struct {
	cfg      Config
	services map[string]Service // written by Register, before Run

	wake chan struct{} // of capacity 1, sent to by feed, never closed

	mu      sync.Mutex // guards machine and changed; never held during a call of a service
	machine *Machine
	changed chan struct{} // closed and replaced by publish

	// Owned by Run.
	calls   sync.WaitGroup
	calling int                     // number of the latest call
	cancel  context.CancelCauseFunc // of its context
	movable *movable                // that context; nil: it has no deadline
	unask   context.CancelFunc      // ends the wait for a turn
}

// New returns a manager without services. It panics if cfg does not validate: the
// configuration is checked where it is read.
func New(cfg Config) *Manager {
	if err := cfg.Validate(); err != nil {
		panic("BUG: lifecycle: invalid config: " + err.Error())
	}
	machine := NewMachine(cfg)
	return &Manager{
		cfg:      machine.cfg, // with the defaults, which are filled in once: none is not zero
		services: make(map[string]Service),
		wake:     make(chan struct{}, 1),
		machine:  machine,
		changed:  make(chan struct{}),
		cancel:   func(error) {},
		unask:    func() {},
	}
}

// Register adds a service: first in, last out. Call it before Run, from one goroutine;
// it panics on a name that is taken.
func (m *Manager) Register(s Service) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine.Register(s.Name())
	if l, ok := s.(Lingerer); ok {
		m.machine.Linger(s.Name(), l.Linger())
	}
	m.services[s.Name()] = s
}

// Target returns the init target of that name, made at the first call. Ask for each
// before the last Start returns: one that comes after admission gates nothing.
func (m *Manager) Target(name string) *Target {
	m.feed(func(machine *Machine, now time.Time) {
		if machine.target(name) == nil {
			machine.AddTarget(now, name)
			m.cfg.Health.Declare(name, health.Required)
		}
	})
	return &Target{m, name}
}

// feed hands an event to the machine and wakes Run to carry out what follows.
func (m *Manager) feed(event func(*Machine, time.Time)) {
	m.mu.Lock()
	event(m.machine, m.cfg.Now())
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // it has not looked since the last event: it will see this one too
	}
}

// Failed reports that a service broke while it ran: the process stops by the drain
// path and Run returns the error, named.
func (m *Manager) Failed(service string, err error) {
	m.feed(func(machine *Machine, now time.Time) { machine.ServiceFailed(now, service, err) })
}

// RequestDrain asks for a drain by API: with park the process stays in Drained, without
// it exits. While it is stopping anyway nothing changes; ErrTooLate at the very end.
func (m *Manager) RequestDrain(park bool) (err error) {
	m.feed(func(machine *Machine, now time.Time) { err = machine.RequestDrain(now, park) })
	return err
}

// Undo takes back a drain that is still in its lame duck: ErrTooLate later,
// ErrCannotUndo if the process stops because something failed. nil if there is nothing
// to undo. Serving comes when every Admit has returned.
func (m *Manager) Undo() (err error) {
	m.feed(func(machine *Machine, now time.Time) { err = machine.Undo(now) })
	return err
}

// Acknowledge ends the lame duck: balancers have stopped sending. ErrNotLameDuck
// before, ErrTooLate after.
func (m *Manager) Acknowledge() (err error) {
	m.feed(func(machine *Machine, now time.Time) { err = machine.Acknowledge(now) })
	return err
}

// MoveDeadline gives the drain that runs until at, as Machine.MoveDeadline says.
func (m *Manager) MoveDeadline(at time.Time) (err error) {
	m.feed(func(machine *Machine, now time.Time) { err = machine.MoveDeadline(now, at) })
	return err
}

// State is the state of the process.
func (m *Manager) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.State()
}

// Watch returns the state and a channel that is closed when an edge later than this
// moment, or the one just taken, has been published to health.
func (m *Manager) Watch() (State, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.State(), m.changed
}

// Status is the state with everything that a status page wants to know.
func (m *Manager) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Status()
}

// Transitions returns the latest 256 edges, oldest first.
func (m *Manager) Transitions() []Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Transitions()
}
