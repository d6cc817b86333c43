// Package world is the whole proxy in a simulation: the cores, the walk, the tracker,
// the lifecycle machine and the policy gate, on a simulated network with scripted
// clients and upstreams, signals, policy changes and faults at random moments. One
// seed is one history.
//
//	r := world.Run(world.Options{Seed: 42})
//	fmt.Println(r.Violations)        // empty: every invariant held
//	fmt.Println(r.Faults)            // what was injected
//
// Some clients ask for an upgrade, and go on through a tunnel, as those of the TCP listener
// do from the start. In one history of three some clients speak HTTP/2, with several requests at a time, and in one of
// eight the upstreams do (h2plan.go). What must hold: nothing is forwarded before the policy, or against it; nothing that
// could have ended inside the budget is lost; no truncation looks whole; no POST is
// executed twice; readiness flips before the door; nobody holds a handle when the
// tracker is drained; the receipt agrees with the ledger; no socket is left at the end;
// time is bounded; an HTTP/2 connection is left in two stages, and neither refuses what was sent before its client could
// know. ledger.go holds what may excuse a loss, and no excuse is wider than
// one request on one connection: the world is omniscient, because it taps the network.
// mutants.go breaks one rule at a time to show that the simulation notices, and why.
// Where histories seldom lead, a [Scenario] does: clients and upstreams laid out for one
// purpose, in the same world.
//
//	go test ./internal/sim/world -run Histories -seeds 20000        // what make test plays
//	go test ./internal/sim/world -run Histories -seed 42 -v         // the story of one
//	go test ./internal/sim/world -run Histories -forever -timeout 0 // until one fails
package world
