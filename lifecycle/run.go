package lifecycle

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// Run lives the life: it starts the services and returns when they are closed. It
// returns nil after a stop in which nothing failed, and otherwise everything that went
// wrong. Cancelling ctx counts as SIGTERM: it begins the stop, it does not skip it. Call
// it once.
func (m *Manager) Run(ctx context.Context) error {
	// What services are given outlives ctx: in-flight work must not be cancelled
	// because the process was told to stop. It ends with Run.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()

	signals, release := m.listen()
	defer release()
	reload := startReloader(life, m.cfg.Reload)
	defer reload.stop(m.cfg.Grace)
	reaper := startReaper(m.cfg)
	defer reaper.stop()

	m.mu.Lock()
	actions, next := m.machine.Begin(m.cfg.Now())
	m.mu.Unlock()

	timer := time.NewTimer(0)
	defer timer.Stop()
	cancelled := ctx.Done()
	for {
		if m.perform(life, actions) {
			return m.over()
		}
		var due <-chan time.Time // nil, and so never ready, if nothing is due
		if !next.IsZero() {
			timer.Reset(next.Sub(m.cfg.Now()))
			due = timer.C
		}
		select {
		case <-m.wake:
		case <-due:
		case sig := <-signals:
			m.signal(sig, reload)
		case <-cancelled:
			cancelled = nil // once
			m.feed(func(machine *Machine, now time.Time) { machine.Signal(now, Terminate) })
		}
		m.mu.Lock()
		actions, next = m.machine.Step(m.cfg.Now())
		m.mu.Unlock()
	}
}

// signal sorts a signal.
func (m *Manager) signal(sig os.Signal, reload *reloader) {
	switch sig {
	case syscall.SIGTERM:
		m.feed(func(machine *Machine, now time.Time) { machine.Signal(now, Terminate) })
	case os.Interrupt:
		m.feed(func(machine *Machine, now time.Time) { machine.Signal(now, Interrupt) })
	case syscall.SIGHUP:
		m.cfg.Log.Info("reload", "signal", "SIGHUP")
		reload.ask()
	}
}

// perform carries out actions in order and reports whether the life is over.
func (m *Manager) perform(life context.Context, actions []Action) (over bool) {
	for _, a := range actions {
		switch a.Kind {
		case Publish:
			m.publish(a)
		case Call:
			m.begin(life, a)
		case Cancel:
			if a.Seq == m.calling {
				m.cancel(a.Cause)
			}
		case Move:
			if a.Seq == m.calling {
				m.move(a)
			}
		case Ask:
			m.tellTurn()
			m.ask(life, a)
		case Asked:
			m.unask()
			m.tellTurn()
		case Beat:
			m.beat()
		case Unready:
			m.unready()
		case Finish:
			return true
		}
	}
	return false
}

// publish tells an edge to whoever wants to know.
func (m *Manager) publish(a Action) {
	// Invariant 5: returns only when every probe would get the new answer.
	m.cfg.Health.SetProcess(a.State, a.Reason)
	m.mu.Lock()
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
	m.tell(a)
}

// begin calls a service. The call before it has returned or was given up, so its
// context is released.
func (m *Manager) begin(life context.Context, a Action) {
	m.cancel(nil)
	ctx, cancel := context.WithCancelCause(life)
	m.calling, m.cancel, m.movable = a.Seq, cancel, nil
	if !a.Deadline.IsZero() {
		movable := newMovable(ctx, a.Deadline, m.cfg.Now)
		m.movable = movable
		ctx, m.cancel = m.movable, func(cause error) { movable.release(cause); cancel(cause) }
	}
	m.cfg.Log.Debug("call", "service", a.Service, "verb", a.Verb.String())
	// Stopped by its context; joined by over, unless it was given up.
	m.calls.Go(func() { m.call(ctx, m.services[a.Service], a) })
}

// move gives the call under way another deadline, first its context and then its service,
// which looks at that.
func (m *Manager) move(a Action) {
	if m.movable == nil {
		return
	}
	m.cfg.Log.Info("the deadline moved", "service", a.Service, "left", max(0, a.Deadline.Sub(m.cfg.Now())).Round(10*time.Millisecond).String())
	m.movable.move(a.Deadline)
	if mover, ok := m.services[a.Service].(Mover); ok {
		mover.DeadlineMoved(a.Deadline)
	}
}

// call calls a service and reports its return.
func (m *Manager) call(ctx context.Context, s Service, a Action) {
	var err error
	switch a.Verb {
	case VerbStart:
		err = s.Start(ctx)
		if err != nil && ctx.Err() != nil {
			err = &stoppedError{err}
		}
	case VerbAdmit:
		err = s.Admit()
	case VerbLameDuck:
		s.LameDuck()
	case VerbDrain:
		err = s.Drain(ctx)
	case VerbClose:
		err = s.Close()
	}
	m.feed(func(machine *Machine, now time.Time) { machine.Returned(now, a.Seq, err) })
}

// stoppedError marks the error of a Start whose context was cancelled: it is what it
// was asked for, whatever words the service found.
type stoppedError struct{ error }

func (e *stoppedError) Is(target error) bool { return target == errStopping }
func (e *stoppedError) Unwrap() error        { return e.error }

// over waits for the calls, if none was given up, and returns what went wrong.
func (m *Manager) over() error {
	m.cancel(nil)
	m.unask()
	m.mu.Lock()
	err := m.machine.Err()
	m.mu.Unlock()
	if stuck := (*StuckError)(nil); !errors.As(err, &stuck) {
		m.calls.Wait()
	}
	return err
}
