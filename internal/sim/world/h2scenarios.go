package world

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy"
)

// Scenarios in which both sides speak HTTP/2. What an upstream does with a request is in its path.

// h2Bulk is the length of a body that fits nowhere.
const h2Bulk = 4 << 20

// h2Most is how much of such a body may be on its way when its receiver takes nothing: what the windows of both
// connections allow, and what waits in the proxy and the network.
const h2Most = 700 << 10

// stuckStreams: who gives one stream no window keeps its sender from sending, and nobody else on the same connections.
var stuckStreams = &Scenario{
	Name:    "stuck streams",
	cluster: func(*world) string { return "protocol: http2" },
	configure: func(w *world, cfg *proxy.Config) {
		speaksH2(w, cfg)
		w.net.Window = max(w.net.Window, 16<<10) // what is stuck is not to be the network
	},
	stop: 12 * time.Second,
	play: func(w *world) {
		servers := w.h2Servers("up:1")
		c := w.dialH2(webAddr)
		var down, up *h2Exchange
		quick := []*h2Exchange{}
		c.ready = func() {
			down, up = c.ask("GET", "/big"), c.ask("POST", "/sink")
			down.greedy = true
			up.pour(h2Bulk)
		}
		w.every(time.Second, 8, func(int) { quick = append(quick, c.ask("GET", "/quick")) })
		w.net.After(10*time.Second, func() {
			for _, q := range quick {
				if q.status != 200 || !q.whole {
					w.violate("a request beside two stuck streams got status %d, whole %v", q.status, q.whole)
				}
			}
			if sent := up.sent(); sent > h2Most || sent == 0 {
				w.violate("%d bytes of a body left for an upstream that takes none", sent)
			}
			for _, s := range *servers {
				for _, x := range s.exchanges {
					if sent := x.sent(); x.path == "/big" && (sent > h2Most || sent == 0) {
						w.violate("%d bytes of a body left for a client that takes none", sent)
					}
				}
			}
			c.leave()
		})
	},
}

// multiplexed: of several exchanges on each connection some end in the drain, and some never do. Each counts once,
// as what became of it; and where all end, so does the drain.
var multiplexed = &Scenario{
	Name:      "multiplexed",
	cluster:   func(*world) string { return "protocol: http2" },
	configure: speaksH2,
	stop:      4 * time.Second,
	play: func(w *world) {
		const clients, quicks, lates = 3, 2, 3
		nevers := int(w.opt.Seed % 3)
		w.h2Servers("up:1")
		peers := make([]*h2Peer, clients)
		for i := range peers {
			peers[i] = w.dialH2(webAddr)
		}
		ask := func(path string, n int) {
			for _, p := range peers {
				for range n {
					p.ask("POST", path).finish()
				}
			}
		}
		w.net.After(time.Second, func() { ask("/quick", quicks) })
		w.net.After(2500*time.Millisecond, func() { ask("/late", lates); ask("/never", nevers) })
		w.net.After(28*time.Second, func() {
			last := time.Time{}
			for i, p := range peers {
				for _, x := range p.exchanges {
					switch {
					case x.path == "/never" && (x.status != 503 || x.reason != "drain_deadline" || !x.whole):
						w.violate("an exchange without end got %d (%s), whole %v", x.status, x.reason, x.whole)
					case x.path != "/never" && (x.status != 200 || !x.whole):
						w.violate("%s got %d (%s), whole %v", x.path, x.status, x.reason, x.whole)
					}
					last = later(last, x.endedAt)
				}
				if len(p.goaways) != 2 || p.goaways[0] != lastStream || p.goaways[1] != uint32(2*len(p.exchanges)-1) {
					w.violate("client %d was told %v", i, p.goaways)
				}
			}
			r := w.tracker.Receipt()
			x := r.Exchanges
			if n := uint64(clients * nevers); x.Interrupted != n || x.Failed != 0 || x.LameDuck+x.Draining != clients*lates || x.Started != n+clients*lates {
				w.violate("%d exchanges interrupted, and %d finished; the receipt counts %+v", n, clients*lates, x)
			}
			if r.Told != clients {
				w.violate("the receipt counts %d told to leave, want %d", r.Told, clients)
			}
			if wait := w.drainedAt.Sub(later(last, w.drainBegan)); nevers == 0 && wait > h2Soon {
				w.violate("the drain ended %v after the last exchange", wait)
			}
		})
	},
}

// speaksH2 has the listeners take HTTP/2.
func speaksH2(w *world, cfg *proxy.Config) {
	w.h2.clients = true
	for i := range cfg.Listeners {
		cfg.Listeners[i].HTTP2 = cfg.Listeners[i].Protocol == proxy.HTTP
	}
}
