package line

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/lifecycle"
)

const (
	trackerOpen    = drain.Open
	trackerLeaving = drain.Leaving
)

// script lays out one history: who calls, when the policy changes, when upgrades are asked
// for, what breaks, and in the end a stop.
func (l *line) script() {
	n := l.net
	end := 6*time.Second + n.Between(0, 14*time.Second)
	n.After(500*time.Millisecond, func() {
		for range 4 + n.Rand.IntN(4) {
			l.client()
		}
		for range 1 + n.Rand.IntN(3) {
			l.tunnel()
		}
		if l.speaksH2() {
			for range 1 + n.Rand.IntN(3) {
				l.h2Client()
			}
		}
	})
	for at := 300 * time.Millisecond; at < end; at += n.Between(100*time.Millisecond, 3*time.Second) {
		n.After(at, func() { l.last++ })
	}
	for at := time.Second; at < end; at += n.Between(100*time.Millisecond, 4*time.Second) {
		n.After(at, l.askUpgrade)
	}
	for at := 400 * time.Millisecond; at < end; at += 10 * time.Millisecond {
		n.After(at, l.probe)
	}
	if n.Chance(0.3) { // one that serves or starts, no matter which
		n.After(n.Between(time.Second, end), func() {
			if p := l.all[n.Rand.IntN(len(l.all))]; p.alive {
				l.killed(p)
			}
		})
	}
	if n.Chance(0.2) {
		end = n.Between(time.Second, end) // in the middle of whatever goes on
	}
	l.stopAt(end)
}

// killed kills a process.
func (l *line) killed(p *process) {
	l.net.Count["killed by a stranger"]++
	p.crash("by a stranger")
}

// bereft notes that nobody who could serve holds a socket: only a supervisor could help,
// and nothing is owed any more.
func (l *line) bereft() {
	for _, p := range l.all {
		if p.runs() && p.dup[0] != nil && !p.fate.mute && !p.fate.unsynced && (p.state <= lifecycle.Serving || p.state == lifecycle.LameDuck && p.taken) {
			return
		}
	}
	if l.downAt.IsZero() {
		l.downAt = l.net.Now()
	}
}

// askUpgrade asks whoever serves.
func (l *line) askUpgrade() {
	p := l.serving()
	if p == nil || p.state != lifecycle.Serving || !p.alone || !l.up() || p.dup[0] == nil { // the last: by a mutant
		return
	}
	p.upgrade(func(now time.Time) { _ = p.up.Begin(now) })
}

// drainAndUndo is an operator who drains somebody whose successor starts, and thinks better
// of it. The successor must not take over meanwhile, or two would serve, each of which takes
// the other for gone; and whoever is undone serves again as if nothing had been.
func (l *line) drainAndUndo(p, succ *process) {
	l.net.After(l.net.Between(0, 400*time.Millisecond), func() {
		if !p.runs() || p.state != lifecycle.Serving || p.up.Stage() != startingStage || !l.up() || p.asked {
			return // it was ready before that, or is gone
		}
		l.net.Count["drained and undone while a successor starts"]++
		l.trace("generation %d is asked to drain", p.gen)
		p.asked, succ.unwanted = true, true
		p.event(func(now time.Time) { _ = p.machine.RequestDrain(now, false) })
		l.net.After(l.net.Between(0, 150*time.Millisecond), func() { // the lame duck is longer
			p.event(func(now time.Time) { _ = p.machine.Undo(now) })
			l.net.After(100*time.Millisecond, func() {
				p.asked = false
				if p.runs() && l.up() && p.state != lifecycle.Serving {
					l.violate("generation %d was undone, and is %s", p.gen, p.state)
				}
			})
		})
	})
}

// drawFate chooses what becomes of a successor.
func (l *line) drawFate() (f fate) {
	n := l.net
	switch n.Rand.IntN(11) {
	case 0:
		f.crashAt = n.Between(0, 500*time.Millisecond)
		n.Count["successor dies early"]++
	case 1:
		f.crashAt = n.Between(400*time.Millisecond, 2*time.Second)
		if n.Chance(0.5) { // at the very end of it, and the predecessor notices late
			f.crashAt, f.crashLate = 0, true
		}
		n.Count["successor dies around the trial"]++
	case 2:
		f.mute = true
		n.Count["successor hangs"]++
	case 3:
		f.unsynced = true
		n.Count["successor never syncs"]++
	case 4:
		f.older = l.last > 1
		n.Count["successor has an old policy"]++
	case 5:
		f.stopAfter = n.Between(1, 400*time.Millisecond)
	case 7:
		f.failAfter = n.Between(1, trial+reportEvery)
	case 6:
		f.hangAfter = n.Between(1, trial+reportEvery)
	}
	return f
}

// stopAt asks for the end of the service: SIGTERM to whoever serves, and, as systemd does
// with a control group, sometimes to everybody.
func (l *line) stopAt(at time.Duration) {
	l.net.After(at, func() {
		l.stopping = true
		everybody := l.net.Chance(0.5)
		for i := len(l.all) - 1; i >= 0; i-- {
			p := l.all[i]
			if !p.alive || !everybody && p != l.serving() && p != l.youngest() {
				continue
			}
			if p.fate.stopAfter > 0 && p.state >= lifecycle.LameDuck {
				continue // it stops already, and one more signal would be the third, which cuts
			}
			l.trace("SIGTERM to generation %d", p.gen)
			p.event(func(now time.Time) { p.machine.Signal(now, lifecycle.Terminate) })
		}
		l.net.After(stopWithin, l.stopAgain)
	})
}

// stopAgain is an operator who sees that somebody is left: one that had been starting, or
// took back.
func (l *line) stopAgain() {
	if l.over() {
		return
	}
	for _, p := range l.all {
		p.event(func(now time.Time) { p.machine.Signal(now, lifecycle.Terminate) })
		if p.alive && (p.fate.mute || !p.hungAt.IsZero()) {
			p.crash("by its operator")
		}
	}
	l.net.After(stopWithin, l.stopAgain)
}

// probe asks for readiness where probes are answered.
func (l *line) probe() {
	if !l.up() {
		return
	}
	answering := 0
	for _, p := range l.all {
		if p.alive && p.gate {
			if p.machine.Status().Failed { // for as long as it takes its predecessor to say so
				continue
			}
			answering++
			if p.asked { // and says so
				continue
			}
			if p.state == lifecycle.Starting && !p.pred.alive { // nobody else is left, and it says so
				continue
			}
			if p.fate.stopAfter > 0 && p.state >= lifecycle.LameDuck { // told to stop at the moment of the switch
				continue
			}
			if p.state != lifecycle.Serving && p.state != lifecycle.LameDuck || p.state == lifecycle.LameDuck && p.machine.Status().Reason != "handed over" {
				l.violate("generation %d answers probes and is %s", p.gen, p.state)
			}
		}
	}
	if answering > 1 {
		l.violate("%d processes answer probes", answering)
	}
}
