package world

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
)

// Clients that stop reading in the middle of a response. While draining the proxy gives them
// up, and nobody else: those that read slowly are waited for.

// peerTimeout is proxy.Config.PeerTimeout of every history.
const peerTimeout = 5 * time.Second

// stallSlack is what the patrol and a close may take beyond that.
const stallSlack = 2*peerTimeout/5 + linger + 500*time.Millisecond

// stalls notes a client that reads nothing from now on.
func (w *world) stalls(s *sim.Sock) {
	w.stalled[s.Addr] = w.net.Now()
	w.watchStall(s, time.Time{})
}

// watchStall looks each second whether a client that takes nothing of what it is owed holds the
// drain for longer than the patrol allows. owed is since when it has been so while draining.
func (w *world) watchStall(s *sim.Sock, owed time.Time) {
	w.net.After(time.Second, func() {
		if !w.exited.IsZero() || !s.Alive() || !s.Peer().Alive() || w.net.Now().Sub(w.stalled[s.Addr]) > 25*time.Second {
			return
		}
		switch now := w.net.Now(); {
		case w.tracker.State() != drain.Draining || s.Peer().Unacked() == 0 || !w.holds(s.Addr):
			owed = time.Time{}
		case owed.IsZero():
			owed = now
		case now.Sub(owed) > peerTimeout+stallSlack:
			w.violate("a client that takes nothing holds the drain for %v", now.Sub(owed))
			return
		}
		w.watchStall(s, owed)
	})
}

// holds reports whether the drain waits for an exchange of that client.
func (w *world) holds(peer netip.AddrPort) bool {
	for _, h := range w.tracker.View(0).Holders {
		if h.Class == drain.Active && h.Peer == peer.String() {
			return true
		}
	}
	return false
}

// mayGiveUp reports whether the proxy may have given up a client by now.
func (w *world) mayGiveUp(peer netip.AddrPort) bool {
	at, ok := w.stalled[peer]
	if !ok || w.drainBegan.IsZero() {
		return false
	}
	return w.net.Now().Sub(later(at, w.drainBegan)) >= peerTimeout-time.Second
}
