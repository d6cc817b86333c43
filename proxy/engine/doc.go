// Package engine is the small interface between what decides and what moves bytes.
//
// Everything above it (the protocol cores, the walk of an exchange) is a state
// machine with no socket, clock or goroutine in it: it implements [Handler] and
// acts through [Shard]. Everything below it is a driver: proxy/engine/portable
// runs goroutines over net.Conn, internal/sim a simulated network and clock. No
// line above can tell which.
//
// A shard is a loop: it owns its connections, their timers and its upstream idle
// lists, and calls its handler one call at a time. What another goroutine has to
// say to a shard goes through Driver.Post and arrives as Notice.
//
//	d := portable.New(portable.Config{Shards: 2})
//	d.Start(func(s engine.Shard) engine.Handler { return newLoop(s) })
//	d.Listen(0, ln)          // Accepted(id, 0, peer) from now on
//	d.Unlisten(0)            // closed and joined: each accepted connection had its Accepted
//	d.Close()                // by force; every connection has had its Closed
//
// The interface is completion-shaped ("bytes arrived on X", "the queue of X is
// empty"), so that an epoll loop, goroutines, io_uring and a simulation all fit.
package engine
