package drain

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Meta is what is known of a connection when it is accepted.
type Meta struct {
	Listener string         // name of the listener, from the configuration
	Protocol string         // "http", "tcp", ...: a closed set, fit for a metric label
	Peer     netip.AddrPort // the client's end
	Ref      uint64         // whatever its owner calls it; only handed back, in Holder
}

// Conn is the handle that one downstream connection holds from accept to its end.
//
// Active, Idle, Tunnel, Told, Owes, Unsent and Done belong to the owner of the connection: one
// goroutine at a time. The rest may be called by anybody. Only Done takes a lock.
//
// Thousands wait idle, so it is kept small: what most have in common is shared, what few
// need is elsewhere.
type Conn struct {
	t     *Tracker
	id    uint64
	kind  *kind
	from  netip.AddrPort // Meta.Peer
	ref   uint64         // Meta.Ref
	born  time.Duration  // since Tracker.start
	evict func(Cause)

	state atomic.Uint64         // a word; written by the owner only
	terms atomic.Pointer[Terms] // written by the owner only; nil: none
	told  atomic.Bool           // written by the owner only
	holds atomic.Int32          // tunnels within; written by the owner only
	bid   atomic.Uint32         // the notice in which it was its turn to be told; 0: none

	peer     atomic.Pointer[netip.AddrPort] // nil: from
	route    atomic.Pointer[string]
	identity atomic.Pointer[string]
	in, out  atomic.Int64
	loss     atomic.Pointer[loss] // written by the owner only; nil: none
	crossed  bool                 // the owner's

	// Guarded by t.mu.
	asked asked  // what the connection was last asked to do
	cause Cause  // why, if asked is askedCut
	first Class  // when the account began; Handshake for who came later
	knew  bool   // was told before the account began, in a lame duck that was undone
	near  bool   // onEvict(CauseFarewell) was, or is about to be, called
	index int32  // place in t.table; -1: not there
	base  uint32 // exchanges finished when the current phase of the account began
}

// kind is what the connections of a listener have in common.
type kind struct{ listener, protocol string }

// loss is what a client does not get. Immutable.
type loss struct {
	requests []string
	unsent   int64 // bytes
	others   int   // exchanges that run beside the one that the word counts
}

// asked is how far the tracker went with a connection. It only grows.
type asked uint8

const (
	askedNothing asked = iota
	askedIdle          // onEvict(CauseIdle) was, or is about to be, called
	askedCut           // onEvict with a cause that cuts was, or is about to be, called
)

// ID is unique within the tracker, from 1, in the order of Track.
func (c *Conn) ID() uint64 { return c.id }

// Meta returns what Track was given.
func (c *Conn) Meta() Meta {
	return Meta{Listener: c.kind.listener, Protocol: c.kind.protocol, Peer: c.from, Ref: c.ref}
}

func (c *Conn) age(now time.Time) time.Duration { return now.Sub(c.t.start) - c.born }

// Class is what the connection is doing now.
func (c *Conn) Class() Class { return c.load().class() }

func (c *Conn) load() word { return word(c.state.Load()) }

// Active says that an exchange began. On an active connection it does nothing.
// It panics on a tunnel and after Done.
func (c *Conn) Active() {
	w := c.load()
	switch w.class() {
	case Active:
		return
	case Handshake:
		c.t.arrived(c)
	case Idle:
	case Tunnel, Gone:
		panic("BUG: drain: Active on a connection that is " + w.class().String())
	}
	c.state.Store(uint64(makeWord(Active, w.started()+1, c.t.tick())))
}

// Idle says that the exchange ended in full and the connection waits for another.
// On an idle connection it does nothing. It panics on a tunnel and after Done.
func (c *Conn) Idle() {
	w := c.load()
	switch w.class() {
	case Idle:
		return
	case Handshake, Active:
	case Tunnel, Gone:
		panic("BUG: drain: Idle on a connection that is " + w.class().String())
	}
	tick := c.t.tick()
	c.outlived(w, tick)
	c.state.Store(uint64(makeWord(Idle, w.started(), tick)))
}

// Tunnel says that the connection carries raw bytes from now on, until Done: after
// CONNECT or Upgrade, or from the start on a TCP listener. The exchange that asked for
// it, if any, is finished by this. On a tunnel it does nothing.
//
// Invariant 7: the handle stays. A tunnel is in-flight work until its Done.
func (c *Conn) Tunnel() {
	w := c.load()
	switch w.class() {
	case Tunnel:
		return
	case Handshake:
		c.t.arrived(c)
	case Idle, Active:
	case Gone:
		panic("BUG: drain: Tunnel after Done")
	}
	c.state.Store(uint64(makeWord(Tunnel, w.started(), c.t.tick())))
	if c.t.cfg.Faults.TunnelForgotten {
		c.t.forget(c)
	}
}

// Tunnels says how many of the exchanges of an active connection are tunnels now (HTTP/2, RFC 8441): while there are any,
// it hears CauseFarewell as a tunnel does. Owner only.
func (c *Conn) Tunnels(n int) {
	c.holds.Store(int32(n))
}

// outlived counts the end of an exchange or tunnel, if it was one. w is the last word of it.
// Most exchanges are quick, and end here without a look at what their route knows.
func (c *Conn) outlived(w word, tick uint64) {
	d := w.lasted(tick)
	n := weight(w.class(), d, c.id+uint64(w.started()))
	if n == 0 {
		return
	}
	if l := c.lives(); l != nil {
		l.count(w.class(), d, n)
	}
}

// Goodbye reports whether the next response must tell the client to leave: always
// while draining; in the lame duck once it is its turn, and then only on connections
// accepted before Leave (a newer one came because a balancer still sends here, and
// would only come back). Outside a stop it costs two atomic loads.
func (c *Conn) Goodbye() bool {
	upTo := c.t.tellUpTo.Load()
	if upTo == everybody {
		return true
	}
	if c.id > c.t.leaveID.Load() { // 0 outside the lame duck
		return false
	}
	if terms := c.terms.Load(); terms != nil && terms.Notice != 0 {
		return c.noticeOfItsOwn(terms.Notice)
	}
	if c.id <= upTo {
		return true
	}
	bid := c.t.bid.Load()
	return bid != 0 && c.bid.Load() == bid
}

// Told says that a response, or the protocol within a tunnel, told the client to leave. Each
// connection counts once.
func (c *Conn) Told() {
	if !c.told.Load() {
		c.told.Store(true)
		c.t.told.Add(1)
	}
}

// SetPeer says who the client is, once that is known better than from the socket.
func (c *Conn) SetPeer(p netip.AddrPort) { c.peer.Store(&p) }

// Peer is the client's end.
func (c *Conn) Peer() netip.AddrPort {
	if p := c.peer.Load(); p != nil {
		return *p
	}
	return c.from
}

// Describe says what the connection is doing now, for Snapshot and the receipt: the
// name of the route and the user. nil clears. The strings must not change afterwards;
// nothing is copied or allocated.
func (c *Conn) Describe(route, identity *string) {
	c.route.Store(route)
	c.identity.Store(identity)
}

// Bytes adds to the bytes received from and sent to the client.
func (c *Conn) Bytes(in, out int64) {
	if in != 0 {
		c.in.Add(in)
	}
	if out != 0 {
		c.out.Add(out)
	}
}

// Owes names the requests that the client will get no whole answer to, the oldest first.
// Call it when they are about to be cut: the receipt then names them. ids must not change
// afterwards.
func (c *Conn) Owes(ids []string) {
	l := c.lost()
	l.requests = ids
	c.loss.Store(&l)
}

func (c *Conn) lost() loss {
	if l := c.loss.Load(); l != nil {
		return *l
	}
	return loss{}
}

// Unsent adds to the bytes that were meant for the client and that its kernel is not known
// to have. Call it before Done.
func (c *Conn) Unsent(n int64) {
	if n > 0 {
		l := c.lost()
		l.unsent += n
		c.loss.Store(&l)
	}
}

// Crossed says that bytes came after we had closed the connection as idle: a request that
// crossed with our FIN and is lost. Call it before Done.
func (c *Conn) Crossed() { c.crossed = true }

// Done gives the handle back and says how the connection ended. Call it exactly once,
// when nothing of the connection is left to do; a second call panics.
//
// An exchange that was still active counts as finished if the outcome is Completed.
func (c *Conn) Done(o Outcome) { c.t.done(c, o) }
