package world

import (
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// In one history of four, the public route and the tunnels of the TCP listener have a drain
// class: less time than the drain.

// classLimit is their deadline.
const classLimit = 3 * time.Second

// classed reports whether this history has it.
func (w *world) classed() bool {
	return w.opt.Scenario == nil && w.opt.Seed/uint64(len(variants))%4 == 0
}

// pastClass reports whether what is on a path may have been cut by its route's deadline; "" is
// the TCP listener. What began later has as long from then on, which is not judged here.
func (w *world) pastClass(path string) bool {
	return w.classed() && !w.admittedAt.IsZero() && (path == "pub" || path == "") && !w.drainBegan.IsZero() && !w.net.Now().Before(w.drainBegan.Add(classLimit))
}

// pastClass reports whether a connection may have been cut by the deadline of a route: one of
// its requests is on it, and what waits with that ends with it.
func (c *client) pastClass() bool {
	return slices.ContainsFunc(c.pending, func(r *request) bool { return c.w.pastClass(r.path) })
}

// judgeClass: nothing on those routes lasts until the deadline of the drain.
func (w *world) judgeClass(h drain.Holder) {
	late := (classLimit + time.Second).Milliseconds()
	busy := h.Class == drain.Active || h.Class == drain.Tunnel
	if w.classed() && busy && (h.Route == "public" || h.Route == "db") && h.ClassMS > late && w.drainedAt.Sub(w.drainBegan).Milliseconds() > late {
		w.violate("connection %d (%s) outlived the deadline of its route", h.ID, h.Route)
	}
}
