// Package health knows how the process is and answers what probes ask.
//
// A [Registry] holds the state of the process and one record for each named check. It
// does no I/O: probes over HTTP, gRPC, systemd and the command line read a [Snapshot]
// or attach as a [Provider].
//
//	r := health.NewRegistry(health.Config{})
//	r.Declare(health.PolicySyncInitial, health.Required)
//	r.Set(health.PolicySyncInitial, health.Starting, errors.New("etcd: no route to host"))
//	r.Set(health.PolicySyncInitial, health.Running, nil, health.Attr{Key: "version", Value: "17"})
//	r.SetProcess(health.ProcessServing, "policy 17 is in force")
//	v := r.Snapshot().Verdict(health.Ready)
//	if !v.OK { fmt.Println(v) }            // "not ready: ...", naming check, since and error
//	sub := r.Attach(provider)              // replays, then every change in order
//	defer sub.Detach()
//
// # Guarantees
//
//   - Liveness never depends on a check (G6): only on the state of the process.
//     A process that terminates is alive.
//   - Ready is false from the moment the process leaves [ProcessServing], before
//     anything else happens (invariant 5): SetProcess returns after that.
//   - A provider sees changes in order, from one goroutine of its own, coalesced to
//     the latest of each check: a slow one delays nobody and needs no queue.
//
// # Limits
//
// Error texts are cut at 1 KiB and attributes at 16 per check; checks are named by
// code, not by input.
package health
