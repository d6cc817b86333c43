package line

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// The shells of lifecycle.Manager and proxy.Server, played.

// event feeds the lifecycle and carries out what follows.
func (p *process) event(f func(now time.Time)) {
	if p.runs() && !p.fate.mute {
		f(p.l.net.Now())
		p.step()
	}
}

func (p *process) step() {
	if p.runs() {
		p.perform(p.machine.Step(p.l.net.Now()))
	}
}

func (p *process) perform(actions []lifecycle.Action, next time.Time) {
	for _, a := range actions {
		switch a.Kind {
		case lifecycle.Publish:
			p.publish(a)
		case lifecycle.Call:
			p.call(a)
		case lifecycle.Cancel:
			if a.Seq == p.drainSeq {
				p.tracker.Cut(p.l.net.Now())
				p.stepTracker()
			}
		case lifecycle.Finish:
			p.finish()
			return
		case lifecycle.Move, lifecycle.Beat, lifecycle.Unready, lifecycle.Ask, lifecycle.Asked: // nobody moves a deadline here, and there is no fleet
		}
	}
	if !next.IsZero() {
		p.l.net.After(max(0, next.Sub(p.l.net.Now())), p.step)
	}
}

func (p *process) publish(a lifecycle.Action) {
	p.l.trace("generation %d: %s => %s (%s)", p.gen, a.From, a.State, a.Reason)
	p.state = a.State
	p.served = p.served || a.State == lifecycle.Serving
	if a.State == lifecycle.Serving && p.fate.hangAfter > 0 {
		p.l.net.After(p.fate.hangAfter, p.hang)
	}
	if a.State == lifecycle.LameDuck || a.State == lifecycle.Draining {
		p.tellStopping()
	}
	if a.State == lifecycle.Serving && p.pred == nil && a.From == lifecycle.Starting {
		p.gate = true
	}
	if a.State == lifecycle.LameDuck || a.State == lifecycle.Draining { // LameDuck of Upgrader
		p.upgrade(func(now time.Time) { p.up.Abandon(now, "told to stop") })
	}
}

func (p *process) call(a lifecycle.Action) {
	returned := func() {
		p.l.net.After(p.l.net.Between(0, 20*time.Millisecond), func() {
			p.event(func(now time.Time) { p.machine.Returned(now, a.Seq, nil) })
		})
	}
	switch a.Verb {
	case lifecycle.VerbStart:
		for i, addr := range doors {
			if p.pred == nil {
				p.dup[i] = p.l.net.Hold(addr)
			} else if !p.l.opt.Mutant.KeepFilter {
				p.dup[i].Unshed() // a former owner's filter
			}
			p.door[i] = p.dup[i].Dup()
		}
		returned()
	case lifecycle.VerbAdmit:
		_ = p.tracker.Open() // too late only if it drains, and then it is not called
		p.core.Admitted()
		p.accept()
		returned()
	case lifecycle.VerbLameDuck:
		if p.taken && p.up.Stage() == lameStage {
			p.leave()
			if p.l.opt.Mutant.DropAtSwitch {
				for i := range doors {
					p.drop(i)
				}
			}
			p.tracker.BeginLeave(p.l.net.Now())
			p.tracker.Notice()
		} else {
			p.tracker.BeginLeave(p.l.net.Now())
		}
		p.tell()
		p.stepTracker()
		returned()
	case lifecycle.VerbDrain:
		p.drainSeq = a.Seq
		p.upgrade(func(now time.Time) { p.up.Hurry(now, "told to stop") })
		p.settle(a, returned)
	case lifecycle.VerbClose:
		p.driver.Close()
		returned()
	}
}

// accept takes connections from every socket that is ours to accept from.
func (p *process) accept() {
	if !p.switched {
		return
	}
	for i := range doors {
		if p.accepting[i] {
			continue
		}
		if p.door[i] == nil { // it was left: Doors.Again
			if p.dup[i] == nil {
				p.l.violate("generation %d cannot take %s back: it holds it no more", p.gen, doors[i])
				return
			}
			p.dup[i].Unshed()
			p.door[i] = p.dup[i].Dup()
		}
		p.accepting[i] = true
		p.driver.Accept(i, p.door[i])
	}
}

// leave stops accepting and closes the driver's descriptors: Driver.Yield.
func (p *process) leave() {
	for i := range doors {
		if p.accepting[i] {
			p.accepting[i] = false
			p.door[i].Close()
			p.door[i] = nil
		}
	}
}

// settle waits for a successor that does not serve to be gone, as Upgrader.Drain, and then
// closes the listeners.
func (p *process) settle(a lifecycle.Action, returned func()) {
	if !p.runs() {
		return
	}
	if s := p.up.Stage(); (s == startingStage || s == endingStage) && p.l.net.Now().Before(a.Deadline) {
		p.l.net.After(5*time.Millisecond, func() { p.settle(a, returned) })
		return
	}
	if p.permitted && !p.alone && !p.kept && !p.l.opt.Mutant.LeaveUnasked && p.l.net.Now().Before(a.Deadline) { // Doors.Settle
		p.l.net.After(time.Millisecond, func() { p.settle(a, returned) })
		return
	}
	if p.shared() && !p.l.opt.Mutant.ShedShared {
		p.leave()
		for i := range doors {
			p.drop(i)
			if p.door[i] != nil {
				p.door[i].Close()
				p.door[i] = nil
			}
		}
		p.drain(a, returned)
		return
	}
	p.switched = true
	if p.door[0] != nil || p.dup[0] != nil {
		p.accept() // what is queued gets its answer
	}
	left := len(doors)
	for i := range doors {
		p.drop(i)
		if p.door[i] == nil {
			left--
			continue
		}
		if p.door[i].Holders() > 1 {
			p.l.violate("invariant 10: generation %d sheds %s, which others hold", p.gen, doors[i])
		}
		p.driver.Unlisten(p.door[i], func(end engine.ListenerEnd) {
			p.accepting[i], p.door[i] = false, nil
			if end.Residue > 0 {
				p.l.violate("generation %d closed %s with %d in its queue", p.gen, doors[i], end.Residue)
			}
			if left--; left == 0 && p.alive {
				p.drain(a, returned)
			}
		})
	}
	if left == 0 {
		p.drain(a, returned)
	}
}

func (p *process) drop(i int) {
	if p.dup[i] != nil {
		p.dup[i].Close()
		p.dup[i] = nil
	}
}

func (p *process) drain(a lifecycle.Action, returned func()) {
	p.l.trace("generation %d drains, %d connections", p.gen, p.driver.Conns())
	p.tracker.BeginDrain(p.l.net.Now(), a.Deadline)
	p.core.Shut()
	p.tell()
	p.returned = returned
	p.stepTracker()
}

func (p *process) stepTracker() {
	if !p.runs() {
		return
	}
	next, done := p.tracker.Step(p.l.net.Now())
	if ok := p.returned; done && ok != nil && p.tracker.State() == drain.Drained {
		p.returned = nil
		ok()
		return
	}
	// The shell has a channel for the last handle; here it is looked for.
	wait := 10 * time.Millisecond
	if !next.IsZero() {
		wait = min(wait, max(100*time.Microsecond, next.Sub(p.l.net.Now())))
	}
	if p.returned != nil || !next.IsZero() {
		p.l.net.After(wait, p.stepTracker)
	}
}

// finish is the exit of the process.
func (p *process) finish() {
	p.l.trace("generation %d exits", p.gen)
	if n := p.driver.Conns(); n > 0 {
		p.l.violate("generation %d left %d connections to the kernel", p.gen, n)
	}
	p.end("exit status 0", true)
}
