package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// Target is a named condition that must hold before traffic is admitted. It shows as a
// required health check of the same name, so that probes, log, metrics and status name
// it in the same words. Make one with Manager.Target. Its methods may be called by
// anybody at any time.
type Target struct {
	m    *Manager
	name string
}

// Name is the name of the target and of its health check.
func (t *Target) Name() string { return t.name }

// Ready says that the condition holds. It latches: what comes later about this start
// is not the gate's affair.
func (t *Target) Ready() {
	t.m.feed(func(m *Machine, now time.Time) {
		if m.TargetReady(now, t.name) {
			t.m.cfg.Health.Set(t.name, health.Running, nil)
		}
	})
}

// Waiting says why the condition does not hold yet. Repeat it as often as the reason
// changes; after Ready it does nothing. A policy error is always Waiting, never Fail: a
// good policy may still come.
func (t *Target) Waiting(err error) {
	t.m.feed(func(m *Machine, now time.Time) {
		if m.TargetWaiting(now, t.name, err) {
			t.m.cfg.Health.Set(t.name, health.Starting, err)
		}
	})
}

// Fail says that the condition can never hold. The process stops and Run returns err.
func (t *Target) Fail(err error) {
	t.m.feed(func(m *Machine, now time.Time) {
		t.m.cfg.Health.Set(t.name, health.Failed, err)
		m.TargetFailed(now, t.name, err)
	})
}

// AddTarget adds an init target, unless there is one of that name. One that is added
// after admission gates nothing.
func (m *Machine) AddTarget(now time.Time, name string) {
	if m.target(name) == nil {
		m.targets = append(m.targets, &target{name: name, since: now})
	}
}

// TargetReady says that the condition holds. It reports whether that is news.
func (m *Machine) TargetReady(now time.Time, name string) bool {
	t := m.target(name)
	if t == nil || t.ready {
		return false
	}
	t.ready, t.since, t.err = true, now, nil
	if m.admit() {
		m.pump(now)
	}
	return true
}

// TargetWaiting says why the condition does not hold yet. It reports whether that
// counts: a target that was ready stays ready.
func (m *Machine) TargetWaiting(now time.Time, name string, err error) bool {
	t := m.target(name)
	if t == nil || t.ready {
		return false
	}
	if (t.err == nil) != (err == nil) || (err != nil && t.err.Error() != err.Error()) {
		t.since = now
	}
	t.err = err
	return true
}

// TargetFailed says that the condition can never hold: the process stops.
func (m *Machine) TargetFailed(now time.Time, name string, err error) {
	m.fail(now, fmt.Errorf("target %s: %w", name, err))
}

func (m *Machine) target(name string) *target {
	i := slices.IndexFunc(m.targets, func(t *target) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return m.targets[i]
}
