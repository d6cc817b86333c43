// Package line plays the life of a line of processes that hand their sockets over, in the
// simulated network: proxy cores, trackers, lifecycles and upgrades are the real ones, the
// shells between them are played, and the kernel is a model of listening sockets that
// several processes hold.
//
//	r := line.Run(line.Options{Seed: 7})
//	// r.Violations is empty, or says what was lost, refused or answered wrongly
//
// Whatever a seed chooses (a successor that crashes, hangs, never syncs, dies on trial, a
// predecessor that dies, a stop in the middle): while the service is meant to be up, no
// dial is refused, no handshake and no request is lost but with the process that had it,
// readiness never flips, no older policy serves, and nobody makes a socket deaf that
// somebody else holds. In the end everything is closed. In one history of four some clients speak HTTP/2
// (h2caller.go): they cross the upgrades by its goodbyes.
package line
