// Package upstream knows where requests can go: clusters, their endpoints and the health
// of each, the choice among them, the retry budget, the connections that there may be, and
// the idle ones that wait for reuse. No I/O: it deals in connection handles of any type and
// is told the time.
//
// A [Set] outlives policy snapshots, so that a new policy keeps the counters, the health,
// the position of the round robin and the pooled connections of every endpoint that
// stays. An endpoint that leaves is marked [Endpoint.Gone]: nobody picks it any
// more, idle connections are closed, busy ones finish first.
//
//	var set upstream.Set                                   // zero value: empty
//	clusters, retire := set.Update([]upstream.Config{{Name: "app", Endpoints: []string{"127.0.0.1:9000"}}})
//	retire()                                               // once no snapshot names the old ones
//	ep := clusters["app"].Pick(now, nil)                   // nil: none, or none in health
//	ep.Answered(now)                                       // or ep.Failed(now)
//	var idle upstream.Idle[*conn]                          // one for each shard
//	c, ok := idle.Take(ep, now)                            // newest first
//	idle.Put(ep, c, now.Add(ep.Cluster().Config().IdleTimeout))
//
// # One limit over all shards
//
// A connection lives and dies on one shard. So that N shards do not need N times the
// connections, a cluster counts them all ([Cluster.Acquire], [Cluster.Release]) and holds
// one queue. What passes between shards is only the right to a connection:
//
//   - a connection that has become free goes, as it is, to a waiter of its own shard, if one
//     is near the head of the queue; otherwise it is closed;
//   - a connection that is closed leaves its slot to the first waiter, wherever that is;
//   - whoever begins to wait while a connection is idle has its shard asked to close one.
//
// Moving connections between shards, or reserving idle ones, would save a dial now and
// then and need states for everything that can happen on the way. Here a waiter is in the
// queue or it is not, and a connection has a slot from its dial to its Closed. Nobody waits
// for ever: while somebody waits nothing is pooled, every busy connection ends or becomes
// free, and the waiting itself is bounded. Without a limit none of this is touched by a
// request that finds a pooled connection.
//
// # Limits
//
// The order of the queue is that of arrival, except that up to eight waiters may be served
// before the first one because a connection of their shard became free. Ejections, the
// budget and the count are of this process only. Round robin and ties of least request
// rotate over all shards.
package upstream
