// Package httpdrain stops an http.Server without losing a request.
//
// http.Server.Shutdown closes the listener first, which resets what the kernel had already
// accepted; closes idle connections while requests are on their way to them; and drops a
// request that it has read once it has begun. This package stops in another order: not
// ready, still accepting (lame duck); goodbyes on responses; then the listener, without
// resetting a handshake; then everything that is open finishes.
//
//	mux := http.NewServeMux()
//	srv := httpdrain.Wrap(&http.Server{Addr: ":8080", Handler: mux}, httpdrain.Config{})
//	mux.Handle("/readyz", srv.Ready())
//	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
//	defer stop()
//	receipt, err := srv.ListenAndServe(ctx) // until ctx ends, and then until everybody is gone
//	log.Print(receipt, err)
//
// # Guarantees
//
//   - Until the lame duck is over every connection is accepted and served; nothing is refused.
//   - A request that was read is served. Its response says "Connection: close" from
//     drain.Config.NoticeAfter on, on HTTP/2 a GOAWAY that lets every stream finish that was
//     under way.
//   - Idle connections are not closed first; what stays idle is closed by rate.
//   - A hijacked connection holds the drain until it is closed.
//   - Everything ends at the deadline, and what was cut then is in the receipt.
//
// # Limits
//
//   - Requests that a client pipelines behind one whose response says goodbye are not served:
//     net/http does not show that they are there. RFC 9112 has the client send them again.
//   - Closing the listener without resetting a handshake needs Linux and a TCP listener
//     without multipath TCP, which [Server.ListenAndServe] makes. Elsewhere the receipt says
//     that nothing is proven.
//   - Probes that come by the same listener are new connections with a request: with them the
//     lame duck lasts for its maximum. Give /readyz a server of its own.
//   - Do not call Shutdown or Close on the http.Server; [Server.Hurry] is what ends a stop early.
package httpdrain
