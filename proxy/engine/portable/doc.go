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
// supported.
package portable
