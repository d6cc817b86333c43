// Package drain is the single admission point of the process and the account of
// everything in flight.
//
// A [Tracker] answers three questions that must never disagree: may this connection
// come in, who is still here, and is everybody gone. They are one state machine under
// one lock, so a connection is either refused or counted, with nothing in between.
//
//	t := drain.New(drain.Config{})
//	t.Open()                                    // admit
//	c, err := t.Track(meta, func(drain.Cause) { /* queue to the owning loop */ })
//	if err != nil { refuse() }                  // ErrShut or ErrDraining
//	c.Active()                                  // a request began
//	c.Idle()                                    // its response ended
//	c.Done(drain.ClientClosed)                  // exactly once
//	receipt := t.Drain(ctx)                     // after the accept loops were joined
//
// # Guarantees
//
//   - Track looks at the state and counts under the same lock (invariant 1).
//   - The last Done of a drain closes the channel of Drained before it returns; nobody
//     polls (invariant 6).
//   - A tunnel keeps its handle until Done (invariant 7).
//   - Idle connections are not closed first: their next request is served and told to
//     leave. What stays idle for too long is closed by rate, longest idle first.
//   - Every drain ends: at the deadline what is left is asked to go, named in the
//     [Receipt], and what does not go even then is named as stuck.
//
// # What the caller owes
//
// Listeners are closed and accept loops joined before BeginDrain or Drain is called
// (invariant 2): the tracker refuses a later connection, but it cannot give back one
// that the kernel had already accepted. After Track returns, the connection asks
// Goodbye before each response head (invariant 3: it looks at Draining again after it
// registered), so one that slipped in just before the edge is still told to leave.
//
// The machine (BeginDrain, Step) has no goroutine and reads no clock but its
// arguments and Config.Now; Leave and Drain are the thin shell around it. The package
// imports nothing but the standard library.
package drain
