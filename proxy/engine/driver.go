package engine

import (
	"net"
)

// Driver is what owns sockets. Its methods may be called from any goroutine.
type Driver interface {
	// Start creates the shards and their handlers. Call it once, before the rest.
	Start(newHandler func(Shard) Handler)
	// Shards is the number of shards.
	Shards() int
	// Listen begins to accept from ln and owns it from now on. index comes back in Accepted.
	Listen(index int, ln net.Listener) error
	// Unlisten stops accepting from that listener without resetting a handshake where
	// the platform allows it, closes it and joins its accept loop: when it returns,
	// every connection that was accepted has had its Accepted call.
	// A second call for the same index does nothing.
	Unlisten(index int) ListenerEnd
	// Yield stops accepting from that listener, joins its accept loop as Unlisten does, and
	// closes the driver's descriptor, without a filter and without waiting for the queue:
	// whoever else holds the socket accepts on. What is queued is lost if nobody does. The
	// index may be used by Listen again. For one that is not accepted from it does nothing.
	Yield(index int)
	// Post brings v to the handler of a shard as Notice. It never blocks; order is
	// kept for each shard. After Close it does nothing.
	Post(shard int, v any)
	// Close stops everything by force and joins every goroutine: listeners are closed,
	// connections released (each gets its Closed), posts not yet delivered are dropped.
	Close()
}

// ListenerEnd is the account of how a listener was closed.
type ListenerEnd struct {
	Proven  bool   // no handshake was reset: the queue was seen empty while new SYNs were shed
	Reason  string // why not proven; empty if Proven
	Residue int    // connections still queued when it was closed; they were reset
}
