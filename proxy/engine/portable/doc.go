// Package portable is the driver for every system: a reader and a writer goroutine
// for each connection over net.Conn, and for each shard one mutex under which its
// handler runs. It is also what -race runs and the reference in differential tests.
//
//	d := portable.New(portable.Config{Shards: 2})
//	d.Start(func(s engine.Shard) engine.Handler { return newLoop(s) })
//	ln, _ := net.Listen("tcp", "127.0.0.1:0")
//	_ = d.Listen(0, ln)
//	defer d.Close()
//
// Guarantees: handler calls of a shard never overlap; steady traffic allocates
// nothing; after Unlisten every accepted connection has had its Accepted call;
// after Close no goroutine of the driver is left.
//
// Limits: two goroutines and one read buffer for each connection, Move is not
// supported. Unlisten and Close wait for handler calls, so they must not be called from
// within one. A write that fails while reading is paused ends the connection at once:
// what the peer sent before is lost with it, but work for a peer that is gone ends.
//
// A Close that cannot flush within its linger resets, so that what was cut short looks
// like it. A panic of a handler, or of a function of Ask, ends the process.
package portable
