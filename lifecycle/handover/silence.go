package handover

import (
	"fmt"
	"time"
)

// The part of Machine that judges a successor on trial by what it says. A process that is
// stopped, or that hangs, lives: its exit would never be noticed, and nobody would serve.
//
// Invariant: a successor that reports again and again is never let go for on account of
// time alone: it is a report that ends its trial.

// listen begins to wait for reports.
func (m *Machine) listen(now time.Time) {
	if m.times.Silence > 0 && !m.Faults.IgnoreSilence {
		m.missed, m.lookAt = 0, now.Add(m.times.Silence/looks)
	}
}

// reported takes a report of who is on trial. A build that did not say that it reports
// again and again is held to it from its first report of this time on.
func (m *Machine) reported(now time.Time) {
	m.listen(now)
	if m.by.IsZero() {
		m.verify("")
	}
}

// trialOver ends the time of trial: at once if nothing more can be learned, or else with
// the next report. Without a time of trial there is none.
func (m *Machine) trialOver() {
	m.by = time.Time{}
	if m.lookAt.IsZero() || m.times.TakeBack == 0 {
		m.verify("")
	}
}

// look counts a look that found nothing. After the last one the successor is killed: it
// could wake up, and serve beside us what we have taken back. A process that SIGKILL is
// due for runs no more code of its own, whatever it hangs in, so nobody waits for its end.
func (m *Machine) look(now time.Time) {
	if m.stage != Trial || m.lookAt.IsZero() || now.Before(m.lookAt) {
		return
	}
	m.missed++
	m.lookAt = now.Add(m.times.Silence / looks)
	if m.missed < looks {
		return
	}
	m.pending = append(m.pending, Action{Kind: Kill})
	m.takeBack(Ending, fmt.Sprintf("the successor took over, said nothing for %s, and was killed: it hangs", m.times.Silence))
}
