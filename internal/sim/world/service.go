package world

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// The process: the lifecycle machine is driven as its shell does it, and its one
// service is proxy.Server without sockets.

// event feeds the machine and carries out what follows.
func (w *world) event(f func(now time.Time)) {
	if w.finished {
		return
	}
	f(w.net.Now())
	w.step()
}

func (w *world) step() {
	if !w.finished {
		w.perform(w.machine.Step(w.net.Now()))
	}
}

func (w *world) perform(actions []lifecycle.Action, next time.Time) {
	for _, a := range actions {
		switch a.Kind {
		case lifecycle.Publish:
			w.publish(a)
		case lifecycle.Call:
			w.call(a)
		case lifecycle.Cancel:
			if a.Seq == w.drainSeq {
				w.cancelled = w.net.Now()
				w.tracker.Cut(w.net.Now())
				w.stepTracker()
			}
		case lifecycle.Move:
			w.moved(a)
		case lifecycle.Finish:
			w.finish()
			return
		case lifecycle.Beat, lifecycle.Unready, lifecycle.Ask, lifecycle.Asked: // it is one of no fleet
		}
	}
	if !next.IsZero() {
		w.net.After(next.Sub(w.net.Now()), w.step)
	}
}

func (w *world) publish(a lifecycle.Action) {
	w.trace("%s => %s (%s)", a.From, a.State, a.Reason)
	w.state = a.State
	was := w.ready
	w.ready = a.State == health.ProcessServing
	switch {
	case w.ready && len(w.versions) == 0:
		w.violate("ready without a policy in force")
	case was && !w.ready:
		w.unready = w.net.Now()
	}
}

// call carries out a call of the one service.
func (w *world) call(a lifecycle.Action) {
	w.trace("call %s", a.Verb)
	returned := func(err error) {
		w.net.After(w.net.Between(0, time.Millisecond), func() {
			w.event(func(now time.Time) { w.machine.Returned(now, a.Seq, err) })
		})
	}
	switch a.Verb {
	case lifecycle.VerbStart:
		for i, addr := range listenerAddrs {
			ln := w.net.Listen(addr)
			w.lns = append(w.lns, ln)
			w.driver.Accept(i, ln)
		}
		returned(nil)
	case lifecycle.VerbAdmit:
		if w.admittedAt.IsZero() {
			w.admittedAt = w.net.Now()
		} else {
			w.left, w.undoneAt = time.Time{}, w.net.Now()
		}
		err := w.tracker.Open()
		w.core.Admitted()
		returned(err)
	case lifecycle.VerbLameDuck:
		w.left = w.net.Now()
		w.tracker.BeginLeave(w.net.Now())
		w.tell()
		w.stepTracker()
		returned(nil)
	case lifecycle.VerbDrain:
		w.drain(a, returned)
	case lifecycle.VerbClose:
		w.driver.Close()
		returned(nil)
	}
}

// drain is Server.Drain: close the listeners, join, then the tracker.
func (w *world) drain(a lifecycle.Action, returned func(error)) {
	w.drainSeq = a.Seq
	if len(w.lns) == 0 {
		returned(nil)
		return
	}
	w.doorShut = w.net.Now()
	if w.ready {
		w.violate("invariant 5: a listener closes while ready")
	}
	left := len(w.lns)
	for i, ln := range w.lns {
		w.driver.Unlisten(ln, func(end engine.ListenerEnd) {
			w.tracker.ListenerClosed(listenerAddrs[i], end.Proven, end.Reason, end.Residue)
			if left--; left > 0 {
				return
			}
			w.trace("draining until %v: %d open", a.Deadline.Sub(sim.Epoch), len(w.down))
			if !w.steered.deadline.IsZero() { // it moved while the listeners closed
				a.Deadline = w.steered.deadline
			}
			w.deadline, w.drainBegan = a.Deadline, w.net.Now()
			w.tracker.BeginDrain(w.net.Now(), a.Deadline)
			if !w.cancelled.IsZero() {
				w.tracker.Cut(w.net.Now())
			}
			w.core.Patrol()
			w.tell()
			w.core.Shut()
			w.returnedOK = func() { returned(nil) }
			w.stepTracker()
		})
	}
}

// stepTracker drives the tracker's machine; watch ends the Drain call when it is over.
func (w *world) stepTracker() {
	next, done := w.tracker.Step(w.net.Now())
	if !done && !next.IsZero() {
		// What is due and was not done (a mutant) must not stop the time.
		w.net.After(max(next.Sub(w.net.Now()), 100*time.Microsecond), w.stepTracker)
	}
}

// watch runs after every event. It notices quiescence the moment it comes, as the
// shell's channel does, and checks what must hold at every moment.
func (w *world) watch() {
	now := w.net.Now()
	w.watchPlaces()
	if w.drainedAt.IsZero() && !w.drainBegan.IsZero() && w.tracker.State() == drain.Drained {
		w.drainedAt = now
		w.judgeQuiescence()
	}
	if ok := w.returnedOK; ok != nil && !w.drainedAt.IsZero() && (w.core.Unadmitted() == 0 || !w.cancelled.IsZero()) {
		w.returnedOK = nil
		w.lastDone = now
		ok()
	}
	switch {
	case w.drainedAt.IsZero() && !w.drainBegan.IsZero() && now.After(w.deadline.Add(drain.DefaultSettle)):
		w.violate("the drain goes on %v past its deadline", now.Sub(w.deadline))
		w.finished = true
	case w.net.Events() > maxEvents:
		w.violate("the process did not end within %d events", maxEvents)
		w.finished = true
	}
}

func (w *world) finish() {
	w.exited = w.net.Now()
	w.trace("exit")
	if n := w.driver.Conns(); n > 0 {
		w.violate("%d connections of the proxy were left to the kernel", n)
	}
	w.judgeLeaks()
	w.finished = true
	w.driver.Crash() // what the kernel does at exit
}

// door stands between the driver and the proxy and keeps count of who is inside.
type door struct {
	engine.Handler
	w *world
}

// Accepted implements engine.Handler.
func (d door) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	w := d.w
	w.down[id], w.peers[id] = listener, peer.Remote
	w.accepted[peer.Remote] = w.net.Now()
	shut := w.tracker.State() == drain.Shut
	d.Handler.Accepted(id, listener, peer)
	switch {
	case shut && w.tracker.Stats().Tracked > 0:
		w.violate("invariant 1: a connection was admitted while shut")
	case w.tracker.State() >= drain.Draining:
		w.violate("invariant 2: a connection was accepted after draining began")
	}
}

// Closed implements engine.Handler.
func (d door) Closed(id engine.ConnID, end engine.End) {
	delete(d.w.outs, id)
	d.Handler.Closed(id, end)
	delete(d.w.down, id)
	delete(d.w.peers, id)
}
