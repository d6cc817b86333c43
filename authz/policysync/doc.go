// Package policysync keeps the policy in force equal to that of a [Source]: it reads the
// head, fetches and verifies what the head names, parses it, has it applied, and watches
// for the next one.
//
//	source := policysync.NewDir("/etc/sluice/policy", policysync.Plain)
//	syncer := policysync.New(policysync.Config{
//		Source: source,
//		Apply:  proxy.ApplyPolicy, // compile and swap; an error rejects the version
//		Target: manager.Target("policy"),
//	})
//	manager.Register(syncer)       // Syncer is a lifecycle.Service by shape
//	fmt.Println(syncer.Status())   // version in force, hash, rejected version, staleness
//
// # What is promised
//
// The target is ready once a version at least as new as the head that was read after
// Start is in force, and not before: no timeout stands in for it. From then on a version
// that cannot be verified, parsed or applied is kept out and remembered ([Rejected]); the
// last good one stays. Errors have the same words in the target, in the status, in health
// and in the log. Syncing goes on during a drain, until Close: a revocation must reach
// connections that are still finishing.
//
// # Sources
//
// A source is content-addressed: one head names immutable objects by hash. Watching gives
// hints only; reading the head again is a complete resync, so that nothing is lost when
// a hint is. [Dir] is a directory in one of two layouts, chosen by configuration and
// never guessed: Plain (all its *.yaml files, with Kubernetes' ..data swaps) or Objects (a
// head manifest beside objects/<sha256>). Every source passes the suite of package
// sourcetest.
//
// # Stores and trust
//
// A [Store] is where publishers put policies: objects first, then one swap of the head.
// [FromStore] makes a source of it, which verifies a head by the keys of a [Trust] before
// it parses it. Whoever may write to a store can withhold a policy, and with keys
// configured cannot make one. [DirStore] is a directory of the objects layout; every store
// passes sourcetest.RunStore.
//
// # Last known good
//
// With a state directory each applied version is kept there (fsync, rename, fsync).
// Starting from it is opt-in and has a maximum age: Config.StartFromLastGood.
package policysync
