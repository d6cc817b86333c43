package world

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// An operator, or an orchestrator, steers the stop: acknowledges, moves the deadline, closes
// connections by their ID. They do so in some histories, at moments of a random source of
// their own, so that the others stay what they were.

// steered is what was done, and when.
type steered struct {
	acked    time.Time // zero: not
	deadline time.Time // the latest; zero: never moved
	soonest  time.Time // of all that there were
	evicted  map[netip.AddrPort]time.Time
	voided   map[netip.AddrPort]bool // of evicted: while no account was open that the receipt is of
}

func (w *world) scriptSteering(stop time.Duration) {
	w.steered.evicted, w.steered.voided = map[netip.AddrPort]time.Time{}, map[netip.AddrPort]bool{}
	r := rand.New(rand.NewPCG(w.opt.Seed, 0x57ee2))
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(r.Int64N(int64(b-a))) }
	if r.IntN(8) == 0 {
		w.net.After(stop+between(-200*time.Millisecond, 2*time.Second), w.acknowledge)
	}
	if r.IntN(6) == 0 {
		for range 1 + r.IntN(3) {
			in := between(-time.Second, 25*time.Second)
			w.net.After(stop+between(0, 12*time.Second), func() { w.moveDeadline(in) })
		}
	}
	if r.IntN(6) == 0 {
		for range 1 + r.IntN(4) {
			w.net.After(between(500*time.Millisecond, stop+6*time.Second), func() { w.evictOne(r) })
		}
	}
}

func (w *world) acknowledge() {
	w.event(func(now time.Time) {
		if err := w.machine.Acknowledge(now); err == nil {
			w.net.Count["acknowledged"]++
			w.trace("acknowledged")
			w.steered.acked = now
		}
	})
}

func (w *world) moveDeadline(in time.Duration) {
	w.event(func(now time.Time) {
		if w.tracker.Cutting() { // the admin listener asks that first
			return
		}
		if err := w.machine.MoveDeadline(now, now.Add(in)); err != nil {
			return
		}
		w.net.Count["deadline moved"]++
		w.trace("the deadline is in %v", in)
		s := &w.steered
		if s.soonest.IsZero() {
			s.soonest = w.deadline // zero: the drain has not begun
		}
		s.deadline = later(now, now.Add(in))
		if s.soonest.IsZero() || s.deadline.Before(s.soonest) {
			s.soonest = s.deadline
		}
		if !w.drainBegan.IsZero() {
			w.deadline = w.steered.deadline
		}
		if in <= 0 {
			w.cancelled = now
		}
	})
}

// leastBudget is the smallest that the drain had at any time.
func (w *world) leastBudget() time.Duration {
	budget := w.deadline.Sub(w.drainBegan)
	if at := w.steered.soonest; !at.IsZero() {
		budget = min(budget, at.Sub(w.drainBegan))
	}
	return budget
}

// moved is what the shell does: the context of the call, and then the service.
func (w *world) moved(a lifecycle.Action) {
	if a.Seq != w.drainSeq {
		w.violate("the deadline of call %d moved, which is not the one that runs", a.Seq)
		return
	}
	if !w.drainBegan.IsZero() {
		w.tracker.MoveDeadline(w.net.Now(), a.Deadline)
		w.stepTracker()
	}
}

// evictOne closes a connection that somebody sees in a look.
func (w *world) evictOne(r *rand.Rand) {
	v := w.tracker.View(10)
	if len(v.Holders) == 0 || w.finished {
		return
	}
	h := v.Holders[r.IntN(len(v.Holders))]
	peer := netip.MustParseAddrPort(h.Peer)
	if w.wasEvicted(peer) {
		return
	}
	voided := w.tracker.State() != drain.Draining // the lame duck may be undone
	now := w.net.Now()
	w.steered.evicted[peer], w.steered.voided[peer] = now, voided
	if !w.tracker.Evict(h.ID) {
		delete(w.steered.evicted, peer)
		return
	}
	w.net.Count["closed by an operator"]++
	w.trace("an operator closes connection %d of %v, which is %v", h.ID, peer, h.Class)
	w.parted = append(w.parted, now) // however it ends: it may be counted as idle
	w.net.After(evictWithin, func() {
		for _, left := range w.tracker.View(0).Holders {
			if left.ID == h.ID && w.exited.IsZero() {
				w.violate("connection %d was evicted, and stays %v", h.ID, evictWithin)
			}
		}
	})
}

// evictWithin bounds the close of a connection that was evicted: its linger, and a loop that
// has other things to do.
const evictWithin = linger + time.Second

func (w *world) wasEvicted(peer netip.AddrPort) bool {
	_, ok := w.steered.evicted[peer]
	return ok
}

// claimEvicted: the receipt names what an operator cut, if it is of that time.
func (w *world) claimEvicted(c claim) {
	if !w.steered.voided[c.peer] {
		w.claims = append(w.claims, c)
	}
}

// judgeSteering: what was asked for was done.
func (w *world) judgeSteering() {
	if at := w.steered.acked; !at.IsZero() && w.state != health.ProcessLameDuck && w.doorShut.Sub(at) > 50*time.Millisecond {
		w.violate("the door closed %v after the acknowledgement", w.doorShut.Sub(at))
	}
	r := w.tracker.Receipt()
	if at := w.steered.deadline; !at.IsZero() && w.drainedAt.After(at.Add(drain.DefaultSettle)) {
		w.violate("drained %v past its deadline: the deadline is %v", w.drainedAt.Sub(at), at.Sub(sim.Epoch))
	}
	if len(r.Moves) > w.net.Count["deadline moved"] {
		w.violate("the receipt has %d moves", len(r.Moves))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
