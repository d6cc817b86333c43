// Package grpcprobe answers the health service of gRPC (grpc.health.v1.Health) from a health registry.
//
//	r := health.NewRegistry(health.Config{})
//	r.Declare(health.PolicySyncInitial, health.Required)
//	mux := http.NewServeMux()
//	mux.Handle(grpcprobe.Prefix, grpcprobe.New(r))
//	srv := &http.Server{Addr: ":9902", Handler: mux, Protocols: new(http.Protocols)}
//	srv.Protocols.SetUnencryptedHTTP2(true)
//	_ = srv.ListenAndServe()
//
// The service asked about is the probe: "" and "ready" (should balancers send?), "serving" (do we still accept?), "live"
// and "startup", as over HTTP. Any other is NOT_FOUND, or SERVICE_UNKNOWN where it is watched.
//
// # Guarantees
//
// Check and Watch say what the HTTP probes say at that moment, SERVING or NOT_SERVING. A watcher hears of each change, in order.
//
// # Limits
//
// At most [MaxWatchers] watch at a time; one more gets RESOURCE_EXHAUSTED. Messages are neither compressed nor
// longer than [MaxMessage]. HTTP/2 is the server's affair.
package grpcprobe
