// Package proxy is the data plane: listeners, and the walk of an exchange from its
// head to its last byte: route, authenticate, authorize, forward.
//
// [Core] is a state machine over the driver interface of proxy/engine: no socket, clock
// or goroutine. [Server] is the thin shell that binds listeners and drives it.
//
//	tracker := drain.New(drain.Config{})
//	s := proxy.NewServer(proxy.ServerConfig{
//		Config: proxy.Config{Listeners: []proxy.ListenerConfig{{Name: "web", Address: ":8080"}}},
//		Driver: portable.New(portable.Config{}), Tracker: tracker,
//	})
//	_ = s.Start(ctx)                    // bound; whoever comes gets 503 and the reason
//	_ = s.Apply(ctx, "v1", document)    // the policy is in force
//	_ = s.Admit()                       // the tracker is open
//	s.LameDuck(); _ = s.Drain(ctx)      // nothing lost; s.Receipt() is the account
//
// Guarantees: nothing is forwarded before a policy is in force, nor without an Allow of
// the authorize stage; what is forwarded is what was authorised (one normal form of
// host and path); a request whose execution is uncertain is never sent twice; a
// response cut short looks cut short; while draining every request that arrives is
// served; steady traffic allocates nothing.
//
// Where to read on: httpconn.go and h2conn.go cut a connection into exchanges,
// requester.go and responder.go say what the two sides of one are, exchange.go walks
// it to its decision, forward.go, upconn.go and uph2.go carry it upstream, respond.go carries
// the answer back, tunnelpair.go what follows an Upgrade and raw TCP, compile.go turns
// a policy into a snapshot.
package proxy
