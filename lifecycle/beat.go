package lifecycle

import "time"

// stepBeat asks for a line in the log when it is time: which targets are not ready
// while starting, how the stop goes while stopping.
func (m *Machine) stepBeat(now time.Time) {
	if m.beatAt.IsZero() || now.Before(m.beatAt) {
		return
	}
	kind, every := Beat, heartbeatEvery
	if m.state == Starting {
		kind, every = Unready, unreadyEvery
	}
	m.pending = append(m.pending, Action{Kind: kind})
	m.beatAt = now.Add(every)
}

// Status is how the life goes at this moment, for the log, status pages and systemd.
type Status struct {
	State      State
	Since      time.Time
	Reason     string
	Until      time.Time // end of the wait for a turn, the lame duck or the drain at the latest; zero: none
	Budget     time.Time // when Run returns at the latest; zero: not stopping
	Latest     time.Time // how far the deadline of the drain may be moved; zero: any time, or none runs
	Holding    string    // the call under way: "drain proxy"; empty: none
	NextSignal string    // what one more signal would do
	Failed     bool      // something went wrong
	Exits      bool      // a stop is under way that ends with the exit of the process, and nobody may undo it
	Unready    []Unmet   // targets, while starting
	Turn       Turn      // the wait for a turn of the latest stop
}

// Unmet is a target that is not ready: since when, and the last error.
type Unmet struct {
	Name  string
	Since time.Time
	Err   error // nil: it has not said anything yet
}

// Status returns how the life goes.
func (m *Machine) Status() Status {
	s := Status{State: m.state, Since: m.since, Reason: m.reason, Budget: m.budgetBy, NextSignal: m.nextSignal(), Failed: len(m.errs) > 0, Exits: m.exits(), Turn: m.turn}
	if m.out != nil {
		s.Holding = m.out.verb.String() + " " + m.out.service.name
	}
	switch m.state {
	case Starting:
		for _, t := range m.targets {
			if !t.ready {
				s.Unready = append(s.Unready, Unmet{t.name, t.since, t.err})
			}
		}
	case LameDuck:
		s.Until = m.lameDuckBy
	case Draining:
		s.Until, s.Latest = m.drainBy, m.latestDeadline()
	case Serving:
		if m.at == stageTurn {
			s.Until = m.turn.Until
		}
	case Drained, Stopped, Failed:
	}
	return s
}

// exits reports whether the process is on its way out for good. A lame duck that was
// asked for by API may be undone, and a drain may park. (Whoever sent a signal and undoes
// it says so to systemd by READY; a failure cannot be undone.)
func (m *Machine) exits() bool {
	switch m.at {
	case stageLameDuck:
		return m.signals > 0 || len(m.errs) > 0
	case stageDraining:
		return !m.park
	case stageClosing, stageOver:
		return true
	case stageNew, stageStarting, stageWaiting, stageAdmitting, stageServing, stageTurn, stageReadmit, stageParked:
	}
	return false
}

func (m *Machine) nextSignal() string {
	switch m.at {
	case stageNew, stageStarting, stageWaiting, stageAdmitting:
		return "stops the process"
	case stageServing, stageReadmit:
		return "begins the lame duck"
	case stageTurn:
		if m.signals == 0 {
			return "makes the process exit after the drain"
		}
		return "ends the wait for its turn"
	case stageLameDuck:
		if m.signals == 0 {
			return "makes the process exit after the drain"
		}
		return "skips the rest of the lame duck"
	case stageDraining:
		switch {
		case m.signals < 2:
			return "changes nothing; the one after it cuts what is left"
		case m.signals == 2:
			return "cuts what is left"
		}
		return "changes nothing"
	case stageParked:
		return "ends the process"
	case stageClosing, stageOver:
	}
	return "changes nothing"
}
