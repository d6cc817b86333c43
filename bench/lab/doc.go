// Package lab restarts proxies under load and says what that cost: the engine of sluice-lab.
//
//	run, err := lab.Roll(ctx, lab.Config{Launcher: replica.Sluice{Binary: "bin/sluice"}, Plan: plan.Sequential})
//	verdict := report.Judge(run, report.Limits{})
//	report.Table(os.Stdout, run)
//
// It starts an upstream (origin), replicas (replica, peers) behind a balancer that honours
// readiness (balance), an open loop of every class of client (load) that keeps an account
// (record), restarts the replicas by a plan (plan), and tells (report).
//
// Guarantees: everything is on loopback; nothing that was started is left when Roll returns.
// Limits: Unix; one machine, which generator and proxies share.
package lab
