package world

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// judge looks at the whole history once it is over. What must hold at a certain
// moment was checked there.
func (w *world) judge() {
	for _, r := range w.requests {
		w.result.Requests++
		if r.answered {
			w.result.Answered++
		}
	}
	if w.exited.IsZero() {
		if len(w.result.Violations) == 0 {
			w.violate("the process did not end: state %s, %d connections", w.state, w.driver.Conns())
		}
		return
	}
	w.judgeTimes()
	w.judgeSteering()
	w.judgeReceipt()
	if n := w.net.Open(); n > 0 {
		w.violate("%d sockets are left in the network", n)
	}
}

// judgeQuiescence: Drained was announced. Nobody may hold a handle any more.
func (w *world) judgeQuiescence() {
	tunnels, others := 0, 0
	for _, listener := range w.down { // only counted: the order does not matter
		if listenerAddrs[listener] == tcpAddr {
			tunnels++
		} else {
			others++
		}
	}
	spare := w.core.Unadmitted() + w.tracker.Receipt().StuckTotal
	switch {
	case tunnels > spare:
		w.violate("invariant 7: drained with %d tunnels open", tunnels)
	case tunnels+others > spare:
		w.violate("invariant 6: drained with %d connections open", tunnels+others)
	}
}

// judgeLeaks: every connection had its Closed, so nothing may be counted any more.
func (w *world) judgeLeaks() {
	s := w.core.Stats()
	if s.Open != 0 || s.Active != 0 || s.UpstreamsOpen != 0 || w.core.Unadmitted() != 0 {
		w.violate("left over at the end: %d connections, %d to upstreams, %d exchanges, %d unadmitted", s.Open, s.UpstreamsOpen, s.Active, w.core.Unadmitted())
	}
	for _, e := range s.Upstreams {
		if e.Active != 0 {
			w.violate("left over at the end: %d exchanges with endpoint %s", e.Active, e.Endpoint)
		}
	}
}

func (w *world) judgeTimes() {
	if w.doorShut.IsZero() {
		w.violate("the process ended without closing its listeners")
		return
	}
	if !w.lastDone.IsZero() && w.exited.Sub(w.lastDone) > 100*time.Millisecond {
		w.violate("exit came %v after the last handle", w.exited.Sub(w.lastDone))
	}
	if w.unready.IsZero() {
		return // stopped before it was ever ready
	}
	if lame := w.doorShut.Sub(w.unready); w.signals < 2 && w.steered.acked.IsZero() && lame < w.cfg.LameDuckMin {
		w.violate("the door closed %v after readiness, less than lame_duck.min %v", lame, w.cfg.LameDuckMin)
	}
	most := w.cfg.LameDuckMax + w.cfg.Timeout + 2*time.Second
	if !w.steered.deadline.IsZero() {
		most = w.steered.deadline.Sub(w.unready) + 2*time.Second
	}
	if took := w.exited.Sub(w.unready); took > most {
		w.violate("the stop took %v", took)
	}
}

// judgeReceipt holds the account against what clients saw.
func (w *world) judgeReceipt() {
	r := w.tracker.Receipt()
	if w.tracker.State() != drain.Drained {
		w.violate("the tracker is %s at the end", w.tracker.State())
		return
	}
	if err := r.Audit(); err != nil {
		w.violate("the books of the receipt do not balance: %v", err)
	}
	if r.StuckTotal > 0 {
		w.violate("%d connections never came back: %+v", r.StuckTotal, r.Stuck)
	}
	if len(r.Cut) != r.CutTotal {
		w.violate("the receipt counts %d cut and names %d", r.CutTotal, len(r.Cut))
	}
	atDeadline := 0
	for _, h := range r.Cut {
		switch h.Cause {
		case drain.CauseDeadline.String():
			atDeadline++
			w.judgeClass(h)
		case drain.CauseOperator.String():
		case drain.CauseRoute.String():
			if !w.classed() || h.Route != "public" && h.Route != "db" || h.ClassMS < 0 {
				w.violate("connection %d was cut by the deadline of route %q, which has none", h.ID, h.Route)
			}
		case drain.CausePeerStuck.String():
			if at, ok := w.stalled[netip.MustParseAddrPort(h.Peer)]; !ok || w.drainedAt.Sub(at) < peerTimeout {
				w.violate("connection %d was given up, and its client was reading", h.ID)
			}
		default:
			w.violate("connection %d was cut for %q", h.ID, h.Cause)
		}
	}
	if early := w.deadline.Add(-drain.DefaultSettle); atDeadline > 0 && w.cancelled.IsZero() && w.drainedAt.Before(early) {
		w.violate("%d connections were cut %v before the deadline", r.CutTotal, w.deadline.Sub(w.drainedAt))
	}
	if len(r.Listeners) != len(listenerAddrs) {
		w.violate("the receipt names %d listeners", len(r.Listeners))
	}
	for _, l := range r.Listeners {
		if l.Residue > 0 {
			w.violate("listener %s was closed with %d connections in its queue", l.Name, l.Residue)
		}
	}
	if w.opt.Scenario == nil { // its clients are not in the ledger; they are gone by then
		w.judgeClaims(r)
		w.judgeCounts(r)
	}
}

// judgeClaims: whatever a client lost to the deadline is named.
func (w *world) judgeClaims(r drain.Receipt) {
	named := make(map[string]bool, len(r.Cut))
	idle := map[string]bool{} // all of its response was with the kernel: no exchange ran any more
	for _, h := range r.Cut {
		named[h.Peer] = true
		idle[h.Peer] = h.Class == drain.Idle
	}
	interrupted, streams := map[string]bool{}, uint64(0)
	for _, c := range w.claims {
		w.trace("%s of %v was cut (sent in full: %v)", c.what, c.peer, c.request)
		if !named[c.peer.String()] {
			w.violate("%s of %v was cut and the receipt does not name it", c.what, c.peer)
		}
		switch {
		case !c.request || idle[c.peer.String()]:
		case c.shared:
			streams++
		default:
			interrupted[c.peer.String()] = true
		}
	}
	if n := uint64(len(interrupted)) + streams; n > r.Exchanges.Interrupted {
		w.violate("clients saw %d exchanges interrupted, the receipt counts %d", n, r.Exchanges.Interrupted)
	}
}

// routeCuts is how many connections were cut by their route's deadline: some of their clients
// had all of the response by then, and saw an idle connection end.
func routeCuts(r drain.Receipt) (n int) {
	for _, h := range r.Cut {
		if h.Cause == drain.CauseRoute.String() {
			n++
		}
	}
	return n
}

// unseenCuts are those that no client noticed: it had its answer in full, and the proxy still
// waited for the rest of a body that would never have come.
func (w *world) unseenCuts(r drain.Receipt) (n int) {
	for _, h := range r.Cut {
		if w.idleEnded[h.Peer] && h.Cause != drain.CauseRoute.String() {
			n++
		}
	}
	return n
}

// judgeCounts: the counts of the receipt are between what clients saw for sure and what
// they may have caused.
func (w *world) judgeCounts(r drain.Receipt) {
	began := w.left
	if began.IsZero() {
		began = w.drainBegan
	}
	if w.admittedAt.IsZero() {
		return
	}
	crossed := 0 // clients that left by themselves, perhaps at the same time
	for _, at := range w.parted {
		if at.After(began.Add(-4 * w.net.MaxDelay)) {
			crossed++
		}
	}
	if n := int(r.Outcomes.IdleClosed); n < w.idleEnds-routeCuts(r)-w.unseenCuts(r) || n > w.idleEnds+crossed {
		w.violate("the receipt counts %d closed idle, clients saw %d (and %d left)", n, w.idleEnds, crossed)
	}
	least, most := uint64(0), uint64(0)
	for _, q := range w.requests {
		if q.answered && q.sentAt.After(began) && q.status != 503 {
			least++
		}
		// The rest of a body that is read and dropped belongs to the exchange.
		if !q.answered || q.answeredAt.After(began) || q.bodyLen > 0 && q.answeredAt.After(began.Add(-time.Second)) {
			most++
		}
	}
	x := r.Exchanges
	if n := x.LameDuck + x.Draining + x.Interrupted + x.Failed; n < least || n > most {
		w.violate("the receipt counts %d exchanges, clients saw between %d and %d", n, least, most)
	}
}
