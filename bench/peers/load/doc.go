// Package load is the client of a run: one thread, epoll, bounded in time and count, to
// loopback addresses only. It compares every byte of every body (package body).
//
//	r, w := io.Pipe() // the harness: reads "ready", writes "go", reads the result, closes
//	err := load.Run(load.Config{Mode: load.KeepAlive, Addr: "127.0.0.1:8080", Conns: 64,
//		Size: 1024, Duration: time.Second}, r, os.Stdout)
//
// It connects, warms up, says "ready" and waits for a line, so that the harness can sample
// the proxy exactly around the measured part; afterwards it prints a Result as one line of
// JSON and keeps its connections open until its input ends.
//
// In closed loops each connection sends its next request when the answer to the last is
// complete, so latency there follows throughput. In Paced, requests are due at fixed
// moments, whatever became of those before, and latency counts from the moment one was due:
// a proxy that stalls pays for all that waited (no coordinated omission).
//
// Guarantees: a wrong byte is a Mismatch in the result, whatever else happens. Limits:
// answers must have a Content-Length, as all of package origin have.
package load
