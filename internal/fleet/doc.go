// Package fleet lets the replicas of one proxy know of each other, by a store with leases, and never leave all at once.
//
//	store := fleetetcd.New(client, "/sluice")           // or fleet.NewMemory(nil), in tests
//	m := fleet.New(fleet.Config{Store: store, ID: "edge-1", Budget: fleet.Budget{Count: 1}})
//	m.Tell(fleet.Facts{State: "serving", Ready: true})  // whenever anything of it changed
//	go m.Run(ctx)                                       // owned by the caller, ends with ctx
//	outcome := m.Turn(ctx)                              // before it stops to be ready
//	m.Tell(fleet.Facts{State: "lame_duck", Leaving: true})
//	m.Leave(ctx, fleet.Account{Lost: 0})                // the last act
//
// # What is in the store
//
// replicas/<id> is who there is ([Replica]), drains/<id> who is away or wants to be ([Claim]). Both are bound to the lease
// of the process that wrote them: what is not renewed for [Config].TTL is gone.
//
// # Guarantees
//
// Of those who ask, no more than the budget are given a turn at a time ([View.Turn]): who may is decided by the order in
// which the store took the claims, read at one revision, so nobody needs a lock and nobody can be overtaken. A claim is
// given back when its process serves again, has drained and stays, or its lease is over; a process that ended leaves it to
// its lease, or to its next life once that is ready, because until then it is away.
//
// Nothing here is ever waited for without an end, and no answer of the store decides whether a process is live or ready.
//
// # Limits
//
// A turn is a lease. Whoever is cut off from a store that others reach loses it after the TTL, though it may be draining
// still, and then one more than the budget may be away. While the store is away for all, leases do not run out (etcd
// counts them anew when it is back), but who is told to stop is not kept: it goes without a turn and says so.
package fleet
