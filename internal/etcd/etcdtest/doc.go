// Package etcdtest is a store that speaks the protocol of etcd, in memory and in this process, for
// tests: real gRPC over loopback, with switches for everything that can go wrong.
//
//	cluster := etcdtest.Start(t, 3) // members, all of one store
//	client, err := etcd.Open(etcd.Config{Endpoints: cluster.Endpoints()})
//	cluster.Member(0).Down()  // connections break, nobody listens
//	cluster.Member(1).Part(true) // it hears nothing of the others: no leader
//	cluster.Compact()         // the history is gone
//
// It knows Range (revisions, limits, order), Put, DeleteRange, Txn with compares, Compact, Watch (start
// revision, filters, progress, cancel by compaction), leases that expire, and logins. It is linearizable
// because there is one store under one lock. What it is not is a consensus: elections, and what a real disk does,
// are tested with real servers (module e2e/etcd), where the same suites run.
package etcdtest
