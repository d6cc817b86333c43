package line

import (
	"errors"
	"time"

	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// Stages under short names.
const (
	startingStage = handover.Starting
	endingStage   = handover.Ending
	lameStage     = handover.Trial
)

// The shell of handover.Upgrader, and the successor's side, played.

// upgrade feeds the upgrade and carries out what follows.
func (p *process) upgrade(f func(now time.Time)) {
	if p.runs() {
		f(p.l.net.Now())
		p.stepUpgrade()
	}
}

func (p *process) stepUpgrade() {
	if !p.runs() {
		return
	}
	actions, next := p.up.Step(p.l.net.Now())
	for _, a := range actions {
		p.act(a)
		if !p.alive {
			return
		}
	}
	if !next.IsZero() {
		p.l.net.After(max(0, next.Sub(p.l.net.Now())), p.stepUpgrade)
	}
}

func (p *process) act(a handover.Action) {
	l := p.l
	switch a.Kind {
	case handover.Spawn:
		p.taken = true
		p.succ = l.start(p, l.drawFate())
		if l.net.Chance(0.15) {
			l.drainAndUndo(p, p.succ)
		}
	case handover.Permit:
		p.say('P')
	case handover.Refresh:
		p.sync()
	case handover.Switch:
		p.handOver()
	case handover.Verify:
		p.upgrade(func(time.Time) { p.up.Verified(p.succ.alive) })
	case handover.Confirm:
		l.net.Count["confirmed"]++
		if s := p.succ; s.state >= lifecycle.LameDuck {
			l.stopping = true // whoever told it to stop stops the service
		} else if !s.hungAt.IsZero() {
			p.letGo(s)
		}
		for i := range doors {
			p.drop(i)
		}
		p.event(p.machine.Confirm)
		p.say('C')
		if !p.succ.hungAt.IsZero() {
			l.bereft()
		}
	case handover.TakeBack:
		l.net.Count["taken back"]++
		p.taken = false
		p.event(func(now time.Time) {
			if p.machine.TakeBack(now) == nil {
				p.gate = true
			}
		})
	case handover.Terminate:
		p.say('K')
		if s := p.succ; s.fate.mute {
			return // it ignores that
		} else if s.alive {
			s.event(func(now time.Time) { s.machine.Signal(now, lifecycle.Terminate) })
		}
	case handover.Kill:
		p.succ.crash("by its predecessor")
	case handover.Tell:
		l.trace("generation %d: upgrade %s %s", p.gen, a.Result, a.Reason)
		if a.Result == handover.Refused {
			l.net.Count["refused"]++
		}
	}
}

// letGo looks at a confirmation of somebody who hangs: the report that made it may have been
// on its way, and then only a supervisor can help.
func (p *process) letGo(s *process) {
	if since := p.l.net.Now().Sub(s.hungAt); since > 10*time.Millisecond && !p.l.stopping {
		p.l.violate("generation %d lets go for generation %d, which hangs since %v", p.gen, s.gen, since)
	}
	p.l.net.Count["hung in the moment of confirmation"]++
}

// handOver is the switch.
func (p *process) handOver() {
	s := p.succ
	if s.unwanted {
		p.l.violate("generation %d hands over in a drain that may be undone", p.gen)
	}
	if s.version < p.version {
		p.l.violate("generation %d hands over to a policy older than its own: %d, %d", p.gen, s.version, p.version)
	}
	p.gate = false
	p.say('S')
	p.event(func(now time.Time) {
		if err := p.machine.HandOver(now, now.Add(upgradeTimes.Trial()+time.Second)); err != nil {
			p.l.trace("generation %d: %v", p.gen, err)
		}
	})
}

// say tells the successor something, a moment later.
func (p *process) say(word byte) {
	s := p.succ
	p.l.net.After(p.l.net.Between(0, 2*time.Millisecond), func() { s.heard(word) })
}

// heard is Link and takeover: what is said is latched, in order.
func (p *process) heard(word byte) {
	if !p.runs() || p.fate.mute {
		return
	}
	switch {
	case word == 'K':
		p.kept = true
		p.gate = false
	case word == 'P' && !p.permitted:
		p.permitted = true
		if p.fate.stopAfter > 0 {
			p.l.net.After(p.fate.stopAfter, func() {
				p.l.net.Count["successor told to stop"]++
				p.l.trace("SIGTERM to generation %d", p.gen)
				// At a terminal: there is no lame duck in which all would be settled.
				p.event(func(now time.Time) { p.machine.Signal(now, lifecycle.Interrupt) })
				if q := p.pred; q.alive && q.up.Stage() < handover.Trial {
					return
				}
				p.l.stopping = true
			})
		}
		p.event(func(now time.Time) { p.machine.TargetReady(now, "upgrade") })
	case word == 'S' && p.permitted && !p.switched:
		p.switched, p.gate = true, true
		p.l.trace("generation %d takes over", p.gen)
		p.lastWord = p.l.net.Now().Add(trial)
		if p.fate.failAfter > 0 {
			p.l.net.After(p.fate.failAfter, p.fail)
		}
		if s := p.tracker.State(); s == trackerOpen || s == trackerLeaving {
			p.accept()
		}
	case word == 'C' && p.switched && !p.alone:
		p.alone = true
		p.l.trace("generation %d is alone", p.gen)
	}
}

// fail is a service that breaks: Manager.Failed.
func (p *process) fail() {
	if p.alone || p.state != lifecycle.Serving {
		return
	}
	if q := p.pred; q == nil || !q.alive || q.state >= lifecycle.Draining {
		return // confirmed, and the word is on its way: from here on it fails as any process does
	}
	p.l.net.Count["successor fails on trial"]++
	p.event(func(now time.Time) { p.machine.ServiceFailed(now, "proxy", errors.New("broken")) })
}

// report tells the predecessor how this process is, until it is alone.
func (p *process) report() {
	if p.runs() && !p.alone {
		p.notify()
		if p.fate.crashLate && p.switched && !p.l.net.Now().Before(p.lastWord) { // what it said is on its way
			p.l.net.After(p.l.net.Between(0, time.Millisecond), func() { p.crash("by its fate") })
		}
		p.l.net.After(reportEvery, p.report)
	}
}

// tellStopping does not wait for the next report.
func (p *process) tellStopping() {
	if p.pred != nil && !p.alone {
		p.notify()
	}
}

func (p *process) notify() {
	n := handover.Notice{
		Ready:  p.state == lifecycle.Serving,
		Report: &handover.Report{Policy: p.policyVersion(), Stopping: p.state >= lifecycle.LameDuck, Failed: p.machine.Status().Failed, Steady: true},
	}
	if q := p.pred; q.alive {
		p.l.net.After(p.l.net.Between(0, 2*time.Millisecond), func() {
			if q.alive && q.succ == p {
				n.Ours = q.policyVersion()
				q.upgrade(func(now time.Time) { q.up.Heard(now, n) })
			}
		})
	}
}
