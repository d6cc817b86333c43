package world

import (
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Faults of the proxy itself: it panics in the middle of an exchange. Whoever was not
// struck must not notice.

// panics decides at a point of a walk whether it goes off there.
func (w *world) panics(id engine.ConnID) bool {
	peer, ok := w.peers[id]
	if !ok || !w.net.Chance(0.003) {
		return false
	}
	w.net.Count["panic"]++
	w.struck[peer] = true
	w.trace("panic in an exchange of %v", peer)
	w.net.After(time.Microsecond, func() {
		if n := w.core.Orphans(); n > 0 {
			w.violate("%d exchanges are left over by a panic and wait for nobody", n)
		}
	})
	return true
}

// stagePanics lets an authenticator go off over a request.
func (w *world) stagePanics(r *authz.Request) {
	if !w.net.Chance(0.01) {
		return
	}
	if n, ok := numberAfter(r.Path, '/'); ok && n < len(w.requests) {
		w.net.Count["stage panic"]++
		w.requests[n].struck = true
		panic("the authenticator met a fault")
	}
}
