// Package epoll is the driver for Linux: event loops, edge-triggered, with non-blocking
// system calls that the scheduler is not told of. It exists on Linux only.
//
//	d, err := epoll.New(epoll.Config{Shards: 2})
//	d.Start(func(s engine.Shard) engine.Handler { return newLoop(s) })
//	ln, _ := synshed.Listen(ctx, "tcp", "127.0.0.1:0")
//	_ = d.Listen(0, ln)
//	defer d.Close()
//
// A loop owns its connections, timers, pipes and scratch buffers, and a connection stays
// on the loop that it began on, so nothing here has a lock but the queue of posts. A round
// of a loop is: wait, take the posts, handle what the kernel reported, fire timers, and
// settle every connection that somebody touched. A handler call never calls the handler
// again: what it asks for is written down, and settled once it has returned.
//
// Guarantees: those of package engine; steady traffic allocates nothing (a Move, one object); one connection
// gets a bounded piece of work in each round; a descriptor leaves the epoll set before it
// is closed, and an event of a former owner of a descriptor is told by its generation.
//
// Limits: whoever runs N loops should set GOMAXPROCS to N+2. A loop that blocks in
// epoll_wait is taken for a system call by the scheduler, which gives its P away; with
// spare Ps it gets one back without waiting. Loops are not locked to threads: the scheduler
// preempts whoever runs for 10 ms by a signal, and a locked goroutine then costs two
// hand-offs between threads; a loop goes through the scheduler before that by itself. Unlisten and Close wait for handler calls, so they
// must not be called from within one. Names are resolved and dialed on a goroutine.
//
// A Close that cannot flush within its linger resets, so that what was cut short looks
// like it. A panic of a handler, or of a function of Ask, ends the process.
package epoll
