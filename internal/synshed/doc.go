// Package synshed closes a listening TCP socket without resetting one handshake.
//
// A plain close resets every connection that has finished its handshake but was not
// accepted yet, and every handshake under way. So before the close, SYNs (and only
// SYNs) are dropped by a socket filter; what had begun before runs to its end and is
// accepted; the socket is closed when nothing is left. A client whose SYN was dropped
// tries again by itself and is then refused cleanly, or reaches a successor.
//
//	ln, err := synshed.Listen(ctx, "tcp", ":8080")
//	cookies := synshed.CountCookies()      // some seconds before the close
//	go acceptLoop(ln)                      // must run on: it is what empties the queue
//	end := synshed.Close(ctx, ln, cookies) // at most MaxWait; then join the accept loop
//	log.Print(end.Proven, end.Reason, end.Residue)
//
// Linux only; some kernels want CAP_NET_ADMIN for it ([Supported] says so). Elsewhere, and
// where the kernel refuses, Close waits for a quiet moment, closes, and says that nothing
// was proven and why.
//
// The filter belongs to the socket and not to the process: attach it only where no
// other process holds the socket, or the next owner is deaf. [Detach] takes it off a
// socket that was inherited. Connections accepted from a filtered listener inherit the
// filter, which does nothing to them: an established connection needs no SYN.
package synshed
