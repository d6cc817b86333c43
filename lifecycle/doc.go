// Package lifecycle takes the process from start to exit: one state machine that
// drives registered services, and that no timeout ever pushes through the gate.
//
//	m := lifecycle.New(lifecycle.Config{Health: registry, Quiet: tracker.Quiet, Log: log})
//	m.Register(admin)                       // first in, last out
//	m.Register(syncer)
//	m.Register(proxy)
//	policy := m.Target("policy.sync.initial")
//	go func() { policy.Waiting(err); policy.Ready() }()   // whoever knows, says so
//	err := m.Run(ctx)                       // until a signal, and everything is closed
//	// nil: exit 0, or 3 if the receipt is not clean; otherwise 1
//
// # Guarantees
//
//   - Services start in the order of Register. They are admitted, in that order, once
//     every target is ready: nothing else opens the gate, no timeout either (G1).
//   - Health flips before any service hears of a stop, and never back except by an
//     explicit undo (invariant 5).
//   - Services drain in reverse order under one deadline, then close in reverse order;
//     only those that started. One that does not return in time is named
//     ([StuckError]) and left behind: Run always returns within Config.Budget of the
//     stop.
//   - Every edge is in the transition log and, once, in the log.
//
// # Signals
//
//	SIGTERM             the first begins the lame duck; the second skips it; the third
//	                    cuts what is left. Repeats within 250 ms count once.
//	SIGINT              the same; with a terminal on stderr it is first and second in one
//	SIGHUP              reload; changes nothing else
//	SIGQUIT             left to the Go runtime, which prints the goroutines
//
// When Run returns they have their default again, which ends the process: who has something
// to do after it catches them too, before Run (os/signal tells everybody who asks).
//
// As PID 1 (Linux) orphans are reaped. See [Config] for what that means to os/exec.
//
// # Limits
//
// What a service does inside its methods is its own: a method that never returns
// leaves its goroutine behind when Run returns. The [Machine] is pure (no goroutine,
// no clock, no I/O), so that a simulation can drive it; [Manager] is its shell.
package lifecycle
