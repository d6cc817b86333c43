// Package upstream knows where requests can go: clusters, their endpoints, the
// choice among them, and the idle connections that wait for reuse. No I/O: it deals
// in connection handles of any type and is told the time.
//
// A [Set] outlives policy snapshots, so that a new policy keeps the counters, the
// position of the round robin and the pooled connections of every endpoint that
// stays. An endpoint that leaves is marked [Endpoint.Gone]: nobody picks it any
// more, idle connections are closed, busy ones finish first.
//
//	var set upstream.Set                                   // zero value: empty
//	clusters, retire := set.Update([]upstream.Config{{Name: "app", Endpoints: []string{"127.0.0.1:9000"}}})
//	retire()                                               // once no snapshot names the old ones
//	ep := clusters["app"].Pick(now, nil)                   // nil if it has none
//	var idle upstream.Idle[*conn]                          // one for each shard
//	c, ok := idle.Take(ep, now)                            // newest first
//	idle.Put(ep, c, now.Add(ep.Cluster().Config().IdleTimeout))
package upstream
