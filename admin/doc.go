// Package admin is the two listeners that are not traffic.
//
// [Probes] is open and read-only: probes and /metrics, no peer and no identity.
// [Server] is private: status, connections, drain, policy, reload, the receipt, pprof, and
// the dashboard that shows them.
// [Client] talks to a Server.
//
//	registry := health.NewRegistry(health.Config{})
//	metrics := admin.NewMetrics(admin.Sources{Health: registry.Snapshot, Tracker: tracker.Stats})
//	probes := admin.NewProbes(admin.ProbesConfig{Health: registry, Metrics: metrics})
//	server, err := admin.NewServer(admin.Config{Address: "unix:/run/sluice/admin.sock", Hooks: hooks})
//	manager.Register(probes)  // first in, last out
//	manager.Register(server)
//	c, err := admin.NewClient(admin.ClientConfig{Address: "unix:/run/sluice/admin.sock"})
//	status, err := c.Status(ctx)
//
// # Guarantees
//
// Both answer until the last handle is back (G5) and hold up no drain (invariant 9).
// Everything is bounded: connections, heads, bodies, every wait, every list.
//
// The private server denies by default: who is not on its unix socket needs the token for
// anything but reading, and for reading too where one is configured or the address is
// not loopback. Requests from web pages are refused (an Origin, a cross-site fetch, a
// Host that is not this one), so that a page in the operator's browser cannot drain; but
// for our own, the dashboard, whose Origin is the Host that it asks. Its files need no
// token, because they hold nothing; its events do.
//
// Metrics are read from Stats at scrape time, never counted twice; every name is a stable
// contract, listed in docs/metrics.md. Labels come from closed sets, or from
// configuration with a bound: what is over it is "_other".
package admin
