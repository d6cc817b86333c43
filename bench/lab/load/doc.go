// Package load is the lab's generator: an open loop of every class of client at once.
//
//	g := load.New(load.Config{Web: "127.0.0.1:8080", Record: recorder,
//		Profiles: load.Mix(1000, 1500*time.Millisecond, load.All)})
//	g.Run(ctx) // until ctx is done, and what is under way has ended
//
// Arrivals are due at moments that nothing which happened before can move: request k of a
// class with rate r is due in [k/r, (k+1)/r), where by the seed. A stall of the service
// therefore makes the load no smaller, and each latency counts from the moment when its
// request was due. Nobody tries anything twice.
//
// Guarantees: every arrival has one end, at most Patience after its client's own pauses. The
// generator says how late it was itself (record.Lag); a run with a generator that was late
// says nothing about the service.
//
// Limits: one machine, one process; HTTP/1.1, HTTP/2 and gRPC in the clear, WebSocket, raw TCP.
package load
