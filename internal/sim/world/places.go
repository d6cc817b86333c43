package world

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// The connections of the proxy to its upstreams, as its driver knows them: what
// max_connections promises is judged here, not by the proxy's own count.

// variant is how the cluster of a history is set up. The seed chooses it.
type variant struct {
	cluster string // keys of the cluster, beside its endpoints
	h2      string // the same where upstreams speak HTTP/2, which has no limit
	limit   int    // max_connections; 0: none
}

// pendingTimeout is pending_timeout of the variants that have a limit.
const pendingTimeout = 3 * time.Second

var variants = [...]variant{
	{h2: "protocol: http2"},
	{
		cluster: "balance: least_request, health_check: {path: /healthz, interval: 200ms, timeout: 300ms, healthy: 1, unhealthy: 2}",
		h2:      "protocol: http2, balance: least_request, health_check: {interval: 200ms, timeout: 300ms, healthy: 1, unhealthy: 2}",
	},
	{cluster: "max_connections: 2, pending_timeout: 3s", h2: "protocol: http2", limit: 2},
	{cluster: "balance: least_request, max_connections: 5, pending_timeout: 3s, outlier: {failures: 2, eject_for: 300ms}", h2: "protocol: http2", limit: 5},
}

func (w *world) variant() *variant {
	if w.opt.Scenario != nil {
		return &variants[0]
	}
	return &variants[w.opt.Seed%uint64(len(variants))]
}

// dialing watches what the proxy dials.
type dialing struct {
	engine.Shard
	w *world
}

// Dial implements engine.Shard.
func (d dialing) Dial(addr string, timeout time.Duration) engine.ConnID {
	id := d.Shard.Dial(addr, timeout)
	d.w.outs[id] = true
	if limit := d.w.variant().limit; limit > 0 && len(d.w.outs) > limit {
		d.w.violate("%d connections to the upstreams, more than max_connections %d", len(d.w.outs), limit)
	}
	return id
}

// Dialed implements engine.Handler.
func (d door) Dialed(id engine.ConnID, err error) {
	if err != nil {
		delete(d.w.outs, id)
	}
	d.Handler.Dialed(id, err)
}

// A free place is one that nobody has, or a connection on which nothing happens. It lasts
// as long as one message takes to the loop that waits for it, and a dial.
const placeFree = 300 * time.Millisecond

type stretch struct{ from, to time.Time }

// watchPlaces notes when there was a free place, after every event.
func (w *world) watchPlaces() {
	limit := w.variant().limit
	if limit == 0 {
		return
	}
	now := w.net.Now()
	if len(w.outs) < limit || w.idlePlace() {
		if w.freeSince.IsZero() {
			w.freeSince = now
		}
		return
	}
	if !w.freeSince.IsZero() && now.Sub(w.freeSince) > placeFree {
		w.free = append(w.free, stretch{w.freeSince, now})
	}
	w.freeSince = time.Time{}
}

// idlePlace reports whether a connection waits for a request, at both ends; and the client
// has what came on it before, for a Move holds it as long as the client does not read.
func (w *world) idlePlace() bool {
	for _, u := range w.ups {
		for _, c := range u.conns {
			if c.last != nil && !c.last.answered && !c.last.excused {
				continue
			}
			if !c.gone && !c.busy && !c.inBody && !c.tunnel && len(c.got) == 0 && c.sock.Alive() && c.sock.Unacked() == 0 && c.sock.Peer().Unacked() == 0 {
				return true
			}
		}
	}
	return false
}

// crowded reports whether somebody who gives up now had to: no place was free while he waited.
func (w *world) crowded() bool {
	if w.variant().limit == 0 {
		return false
	}
	now, slack := w.net.Now(), 4*w.net.MaxDelay
	from, to := now.Add(-pendingTimeout+slack), now.Add(-slack)
	all := w.free
	if !w.freeSince.IsZero() {
		all = append(all[:len(all):len(all)], stretch{w.freeSince, now})
	}
	for _, s := range all {
		begin, end := s.from, s.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if end.Sub(begin) > placeFree {
			return false
		}
	}
	return true
}

// allOut reports whether every endpoint in force may have failed its checks since then: it
// was down, and a check that finds it well again takes a moment.
func (w *world) allOut(since time.Time) bool {
	const recovery = time.Second
	return w.unreachable(since.Add(-recovery))
}
