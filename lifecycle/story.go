package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// The log of a stop reads like a story: one line for each edge, with the counts, and a
// heartbeat that says what holds on and what one more signal would do.

// tell logs an edge, once.
func (m *Manager) tell(a Action) {
	now := m.cfg.Now()
	s := m.Status()
	attrs := []slog.Attr{slog.String("reason", a.Reason)}
	level := slog.LevelInfo
	switch a.State {
	case Starting:
		attrs = append(attrs, slog.Int("unready", len(s.Unready)))
	case Serving:
	case LameDuck, Draining:
		attrs = append(attrs, left("left", s.Until, now), slog.String("next_signal", s.NextSignal))
		attrs = append(attrs, m.cfg.Progress()...)
	case Drained:
		attrs = append(attrs, slog.String("next_signal", s.NextSignal))
	case Stopped:
		attrs = append(attrs, m.cfg.Progress()...)
	case Failed:
		level = slog.LevelError
		attrs = append(attrs, m.cfg.Progress()...)
	}
	m.cfg.Log.LogAttrs(context.Background(), level, message(a.State, a.Reason), attrs...)
}

func message(s State, reason string) string {
	switch s {
	case Starting:
		return "starting"
	case Serving:
		return "serving"
	case LameDuck:
		if reason == handedOver {
			return "handed over: a successor accepts, and is on trial"
		}
		return "lame duck: not ready, still accepting"
	case Draining:
		return "draining: taking nothing new, finishing what is open"
	case Drained:
		return "drained: parked"
	case Stopped:
		return "stopped"
	case Failed:
		return "failed"
	}
	return "unknown state"
}

// tellTurn logs how a wait for a turn begins and ends. One that was skipped is loud: more of the fleet may be away at once
// than should be.
func (m *Manager) tellTurn() {
	s := m.Status()
	t := s.Turn
	if t.Waits() {
		m.cfg.Log.Info("told to stop: waiting for a turn in the fleet, serving on", "left", max(0, t.Until.Sub(m.cfg.Now())).Round(10*time.Millisecond).String(), "next_signal", s.NextSignal)
		return
	}
	waited := t.Ended.Sub(t.Asked).Round(time.Millisecond).String()
	if t.By.Skipped() {
		m.cfg.Log.Warn("stopping WITHOUT a turn in the fleet: more of it may be away at once than fleet.budget says", "by", t.By.String(), "waited", waited)
		return
	}
	m.cfg.Log.Info("turn in the fleet", "by", t.By.String(), "waited", waited)
}

// beat logs how the stop goes.
func (m *Manager) beat() {
	s := m.Status()
	attrs := []slog.Attr{
		slog.String("state", s.State.Label()),
		left("left", s.Until, m.cfg.Now()),
		slog.String("next_signal", s.NextSignal),
	}
	if s.Holding != "" {
		attrs = append(attrs, slog.String("holding", s.Holding))
	}
	m.cfg.Log.LogAttrs(context.Background(), slog.LevelInfo, "still stopping", append(attrs, m.cfg.Progress()...)...)
}

// unready logs what keeps the process from being admitted, in the words of the health
// checks.
func (m *Manager) unready() {
	s := m.Status()
	waiting := make([]string, 0, len(s.Unready))
	for _, u := range s.Unready {
		waiting = append(waiting, u.String())
	}
	attrs := []slog.Attr{slog.String("waiting_for", strings.Join(waiting, "; "))}
	if s.Holding != "" {
		attrs = append(attrs, slog.String("holding", s.Holding))
	}
	m.cfg.Log.LogAttrs(context.Background(), slog.LevelWarn, "not admitted yet", attrs...)
}

// String reads "policy.sync.initial STARTING since 2030-01-02T03:04:05Z: no such file",
// the words of health.Reason.
func (u Unmet) String() string {
	s := fmt.Sprintf("%s STARTING since %s", u.Name, u.Since.UTC().Format(time.RFC3339))
	if u.Err != nil {
		s += ": " + u.Err.Error()
	}
	return s
}

// left is the time until at, in seconds; 0 if it is over.
func left(key string, at, now time.Time) slog.Attr {
	return slog.String(key, max(0, at.Sub(now)).Round(10*time.Millisecond).String())
}
