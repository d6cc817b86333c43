// Package etcdstore keeps published policies in etcd, for fleets. It is a [policysync.Store]:
//
//	store := etcdstore.New(client) // of internal/etcd; it is not closed here
//	syncer := policysync.New(policysync.Config{Source: policysync.FromStore(store, trust), Apply: apply})
//
// Below the prefix of the client are the keys
//
//	head             the present head
//	heads/<number>   those that were in place, 20 digits each, and the present one
//	objects/<hash>   what they name
//
// # What is promised
//
// The head is read linearizably, and swapped by one transaction on its revision, which keeps it
// among the heads in the same step. Only the head is watched, and what comes is a hint:
// an event, a new watch after anything that broke the last one, history that was compacted, a member without a
// leader all mean that the head is read again, which is a complete resync. So no deletion can be missed: nothing is
// rebuilt from events.
//
// # Limits
//
// etcd takes 1.5 MiB in one request by default, and that is what is counted on: an object may have
// [MaxObject] bytes, a head, which is written twice, [MaxHead]. What has more is refused here, with the limit.
package etcdstore
