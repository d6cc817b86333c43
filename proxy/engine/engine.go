package engine

import (
	"net/netip"
	"time"
)

// ConnID names one connection for as long as it lives: shard | generation | slot.
// A slot is reused after Closed; the generation then differs, so an ID kept too
// long names nothing rather than a stranger. The zero ConnID names nothing.
type ConnID uint64

const (
	slotBits  = 32
	genBits   = 24
	slotMask  = 1<<slotBits - 1
	genMask   = 1<<genBits - 1
	MaxShards = 1 << (64 - slotBits - genBits)
)

// MakeConnID packs an ID. Drivers call it; gen must not be 0.
func MakeConnID(shard, gen, slot int) ConnID {
	return ConnID(uint64(shard)<<(slotBits+genBits) | uint64(gen&genMask)<<slotBits | uint64(slot)&slotMask)
}

// Slot is the dense index of the connection within its shard: handlers index their tables by it.
func (id ConnID) Slot() int { return int(id & slotMask) }

// Gen is the generation of the slot, from 1 to 2^24-1.
func (id ConnID) Gen() int { return int(id>>slotBits) & genMask }

// Shard is the index of the owning shard.
func (id ConnID) Shard() int { return int(id >> (slotBits + genBits)) }

// NextGen is the generation after g; it wraps past 0, which is never used.
func NextGen(g int) int {
	g = (g + 1) & genMask
	if g == 0 {
		g = 1
	}
	return g
}

// Timer names one of the timers that each connection has. They are independent;
// arming one again moves it.
type Timer uint8

// The timers of a connection. What each one bounds is the handler's affair.
const (
	TimerRead  Timer = iota // no bytes came
	TimerWrite              // no bytes left
	TimerState              // a state lasted too long (head, connect, response, half-open)
	NumTimers
)

// Peer is what a driver knows about the two ends of an accepted connection.
type Peer struct {
	Remote, Local netip.AddrPort
}

// Handler is what a driver drives: one for each shard, one call at a time.
// Within a call the handler may use its Shard freely; outside calls it must not.
// For one connection the order is Accepted or Dialed, then any number of the
// others, then Closed exactly once; after Closed the ID is dead.
type Handler interface {
	// Accepted reports a new downstream connection of the listener with that index.
	// The connection reads at once unless the call pauses it.
	Accepted(id ConnID, listener int, peer Peer)
	// Dialed reports the end of a Dial: nil, or why it failed. After a failure
	// Closed is not called and the ID is dead.
	Dialed(id ConnID, err error)
	// Received hands over bytes that arrived; b is not empty and valid only during
	// the call. It is not called while the connection is paused.
	Received(id ConnID, b []byte)
	// EOF reports that the peer will send no more (a FIN). Ordered after every
	// Received; not called while paused; at most once.
	EOF(id ConnID)
	// Sent reports that the send queue became empty after it had held something:
	// every byte of every Send was accepted by the kernel.
	Sent(id ConnID)
	// Moved reports progress of a Move: n bytes went from src to dst; done when the
	// asked number has moved or src is at its end.
	Moved(dst, src ConnID, n int64, done bool)
	// Closed is the last word on a connection.
	Closed(id ConnID, end End)
	// Fired reports that an armed timer ran out. It is disarmed by that.
	Fired(id ConnID, t Timer)
	// Answer brings what the function of an Ask returned. It is dropped if the
	// connection was closed meanwhile.
	Answer(id ConnID, v any)
	// Notice brings what Post sent to this shard, in order.
	Notice(v any)
}

// End says how a connection ended.
type End struct {
	Err    error // nil: in good order (as asked by Close, or both sides at EOF); otherwise what broke it
	Unsent int64 // bytes that Send took and that the peer's kernel is not known to have; best effort
	// Discarded is the number of bytes that came after Close: for an idle HTTP/1.1
	// connection, a request that crossed with our FIN and is lost.
	Discarded int64
}

// Vital is what the kernel knows about the peer of a connection.
type Vital struct {
	Acked   int64         // bytes that the peer's kernel acknowledged, as Shard.Acked says
	Pending int64         // bytes of Send and Move that it has not; a FIN may count one
	Heard   time.Duration // since the last sign of it: a byte, an acknowledgement, the answer to a probe
}

// Shard is what a handler asks of its driver. All calls return at once.
// A call with a dead ID does nothing. Only the handler of this shard may call it,
// and only from within a Handler call.
type Shard interface {
	// Index is this shard's number, from 0.
	Index() int
	// Now is the driver's clock, read once per call of the handler: monotonic where
	// the driver has such a clock, and coarse. For timeouts and ages.
	Now() time.Time
	// Dial begins a connection to a TCP address (host:port; names are resolved by the
	// driver, off the loop). The answer is Dialed; timeout bounds it, 0 is 10 s.
	Dial(addr string, timeout time.Duration) ConnID
	// Send queues a copy of b. It never fails: a broken connection says so by Closed.
	// The queue is not bounded by the driver: look at Queued and stop reading the
	// source instead.
	Send(id ConnID, b []byte)
	// Queued is the number of bytes of Send that the kernel has not taken yet.
	Queued(id ConnID) int
	// Acked is how many bytes the peer's kernel has acknowledged since the connection began,
	// whoever sent them; a SYN or FIN may count one. It tells a slow peer from a stuck one, which
	// Queued cannot: between us and the peer are buffers of megabytes. -1: it cannot be known
	// here. It may cost a system call.
	Acked(id ConnID) int64
	// Unread reports whether bytes have come behind those that Received handed over last, as far
	// as that is known: after a read that was not full there were none. It costs a system call
	// only after one that was.
	Unread(id ConnID) bool
	// Check asks the kernel about the peer of a connection. probe > 0 has it, from then on, ask
	// a peer that says nothing every so often whether it is still there, so that silence means
	// something; 0 leaves that as it is. False: it cannot be known here, and nothing may be
	// concluded. It costs one system call, and some more with probe.
	Check(id ConnID, probe time.Duration) (Vital, bool)
	// Pause stops Received and EOF of this connection until Resume.
	Pause(id ConnID)
	// Resume undoes Pause. What arrived meanwhile is delivered after the current call returns.
	Resume(id ConnID)
	// Move asks the driver to carry the next n bytes (n < 0: until EOF) from src to
	// dst without showing them, behind what is queued there. False: not supported for these
	// two; use Received and Send. While it runs, Received is not called for src, and Send and
	// CloseWrite to dst are bugs. Pausing src holds it. It ends with a Moved that says done, or, without
	// one, when either connection ends, or is closed or aborted: then what was under way is
	// lost with it.
	Move(dst, src ConnID, n int64) bool
	// CloseWrite sends FIN after what is queued. Sending afterwards is a bug and panics.
	CloseWrite(id ConnID)
	// Close ends a connection in good order: flush what is queued, FIN, read and
	// discard until EOF, all that within linger; wait for the send queue of the kernel
	// to empty (bounded by the driver's flush time and by twice linger), release, then
	// Closed. Whoever has much to flush to a slow peer waits for Sent first.
	// Nothing but Closed is called for it any more. linger 0 is for a peer that is owed
	// nothing: no time to flush or to read. Abort resets instead, so that a truncated
	// response looks truncated.
	Close(id ConnID, linger time.Duration)
	// Abort sends RST and releases; what is queued is discarded.
	Abort(id ConnID)
	// Arm makes Fired happen once after d, replacing what was armed; d <= 0 disarms.
	// Coarse: late by up to the driver's tick, never early.
	Arm(id ConnID, t Timer, d time.Duration)
	// Ask runs fn on a goroutine of a bounded set and brings the result back by Answer.
	// False: the set is full and nothing will come; answer as overloaded.
	// fn must bound itself in time and must not touch memory that the loop owns.
	Ask(id ConnID, fn func() any) bool
}
