// Package world is the whole proxy in a simulation: the cores, the walk, the tracker,
// the lifecycle machine and the policy gate, on a simulated network with scripted
// clients and upstreams, signals, policy changes and faults at random moments. One
// seed is one history.
//
//	r := world.Run(world.Options{Seed: 42})
//	fmt.Println(r.Violations)        // empty: every invariant held
//	fmt.Println(r.Faults)            // what was injected
//
// What must hold is in invariants.go: nothing forwarded before the policy, nothing
// lost that could have ended inside the budget, no truncation that looks whole, no
// request executed twice, readiness before the door, nothing left at the end, bounded
// time. mutants.go breaks one rule at a time to show that the simulation notices.
package world
