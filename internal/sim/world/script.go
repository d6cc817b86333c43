package world

import (
	"time"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
)

// script lays out one history: when the policy comes, who calls, what breaks, when it
// is told to stop.
func (w *world) script() {
	stop := w.net.Between(600*time.Millisecond, 3*time.Second)
	first := w.scriptPolicy(stop)
	w.scriptClients(stop)
	if w.net.Chance(0.3) {
		w.net.After(w.net.Between(first, stop+2*time.Second), func() {
			w.net.Count["upstream restart"]++
			w.ups[w.net.Rand.IntN(len(w.ups))].restart()
		})
	}
	w.scriptStop(first, stop)
	w.scriptSteering(stop)
	w.scriptSessions(stop)
}

// scriptPolicy lets the policy come early, late, or after the stop; then it may change.
func (w *world) scriptPolicy(stop time.Duration) (first time.Duration) {
	n := w.net
	first = n.Between(0, 600*time.Millisecond)
	if n.Chance(0.1) {
		n.Count["stopped before the policy"]++
		first = stop + time.Second
	}
	n.After(n.Between(0, 300*time.Millisecond), func() {
		w.event(func(now time.Time) { w.machine.TargetReady(now, "keys") })
	})
	for v, at := 1, first; v <= 1+n.Rand.IntN(4); v++ {
		n.After(at, func() {
			if v > 1 {
				n.Count["policy change"]++
			}
			w.applyPolicy(v)
		})
		at += 60*time.Millisecond + n.Between(0, 2*time.Second)
	}
	if n.Chance(0.3) {
		n.After(n.Between(0, stop+2*time.Second), w.rejectPolicy)
	}
	return first
}

func (w *world) scriptClients(stop time.Duration) {
	n, r := w.net, w.net.Rand
	lame := w.cfg.LameDuckMin
	for range 8 + r.IntN(8) {
		n.After(n.Between(0, stop+lame+time.Second), func() { newClient(w) })
	}
	// A knocker calls from before the start until the door is closed.
	every := n.Between(20*time.Millisecond, 50*time.Millisecond)
	for at := time.Duration(0); at < stop+time.Second; at += every {
		n.After(at, func() {
			if w.exited.IsZero() {
				newKnock(w)
			}
		})
	}
	for range 1 + r.IntN(3) {
		n.After(n.Between(0, stop+lame), func() { newTunnelClient(w) })
	}
	for range 1 + r.IntN(3) {
		at := n.Between(0, stop+lame)
		if !w.h2.upstreams { // there nobody switches
			n.After(at, func() { newUpgrader(w) })
		}
	}
	if w.h2.clients {
		for range 2 + r.IntN(4) {
			n.After(n.Between(0, stop+lame+time.Second), func() { newH2Client(w) })
		}
	}
	// Some are caught in the middle by the stop.
	if n.Chance(0.3) {
		n.After(stop-n.Between(20*time.Millisecond, 300*time.Millisecond), func() {
			n.Count["half head at SIGTERM"]++
			newDribbler(w, "GET", stop)
		})
	}
	if n.Chance(0.3) {
		n.After(stop-n.Between(20*time.Millisecond, 300*time.Millisecond), func() {
			n.Count["upload at SIGTERM"]++
			newDribbler(w, "POST", stop)
		})
	}
}

// scriptStop sends the signals, and sometimes takes a drain back first.
func (w *world) scriptStop(first, stop time.Duration) {
	n := w.net
	if n.Chance(0.15) {
		at := n.Between(max(first, 400*time.Millisecond), stop)
		n.After(at, func() {
			n.Count["drain undone"]++
			w.event(func(now time.Time) { _ = w.machine.RequestDrain(now, false) })
		})
		n.After(at+n.Between(time.Millisecond, 300*time.Millisecond), func() {
			again := w.signals > 0 && w.state == health.ProcessLameDuck
			w.event(func(now time.Time) { _ = w.machine.Undo(now) })
			if again { // an undo takes back a signal as well: then somebody sends another
				w.signals = 0
				w.signal(time.Second)
			}
		})
	}
	w.signal(stop)
	if n.Chance(0.2) {
		w.signal(stop + 300*time.Millisecond + n.Between(0, time.Second))
	}
	if n.Chance(0.1) {
		w.signal(stop + 2*time.Second + n.Between(0, 3*time.Second))
	}
}

// signal sends SIGTERM after a while.
func (w *world) signal(after time.Duration) {
	w.net.After(after, func() {
		if w.signals++; w.signals > 1 {
			w.net.Count["impatient signal"]++
		}
		w.trace("SIGTERM %d", w.signals)
		w.event(func(now time.Time) { w.machine.Signal(now, lifecycle.Terminate) })
	})
}
