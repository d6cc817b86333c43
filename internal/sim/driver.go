package sim

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Driver carries handlers over the simulated network.
type Driver struct {
	n      *Net
	shards []*shard
	next   int // shard of the next accepted connection
	closed bool
	Faults DriverFaults
}

// DriverFaults is a test seam: each field breaks one rule of a driver.
type DriverFaults struct {
	NoShed   bool // Unlisten closes at once
	NoJoin   bool // Unlisten reports before the queue is drained into the handlers
	NoLinger bool // Close does not read on
}

// NewDriver starts shards handlers.
func (n *Net) NewDriver(shards int, newHandler func(engine.Shard) engine.Handler) *Driver {
	d := &Driver{n: n}
	for i := range shards {
		s := &shard{d: d, n: n, index: i}
		d.shards = append(d.shards, s)
	}
	for _, s := range d.shards {
		s.h = newHandler(s)
	}
	return d
}

// Post brings v to a handler. It may be called from within a handler call.
func (d *Driver) Post(index int, v any) {
	s := d.shards[index]
	d.n.After(d.n.delay()/8, func() {
		if !s.down && !d.closed {
			s.h.Notice(v)
		}
	})
}

// Listening is a listening socket, or a descriptor of one that others hold too.
type Listening interface {
	Accept(f func(*Sock))
	Shed()
	Queued() int
	Close() (residue int)
}

// Accept carries the connections of ln to the handlers.
func (d *Driver) Accept(index int, ln Listening) {
	ln.Accept(func(sock *Sock) {
		if d.closed {
			sock.Abort()
			return
		}
		s := d.shards[d.next%len(d.shards)]
		d.next++
		c := s.alloc()
		c.attach(sock)
		s.h.Accepted(c.id, index, engine.Peer{Remote: sock.Addr, Local: netip.AddrPort{}})
	})
}

// Unlisten closes a listener as the real drivers do: shed, wait until the queue is
// empty and no handshake is on its way, close. done gets the account.
func (d *Driver) Unlisten(ln Listening, done func(engine.ListenerEnd)) {
	if d.Faults.NoShed {
		residue := ln.Close()
		done(engine.ListenerEnd{Residue: residue})
		return
	}
	ln.Shed()
	if d.Faults.NoJoin {
		done(engine.ListenerEnd{Proven: true})
		done = func(engine.ListenerEnd) {}
	}
	// The longest handshake in flight ends within four one-way delays.
	quiet := 4*d.n.MaxDelay + time.Millisecond
	deadline := d.n.now.Add(200 * time.Millisecond)
	var check func()
	check = func() {
		if ln.Queued() > 0 && d.n.now.Before(deadline) {
			d.n.After(time.Millisecond, check)
			return
		}
		residue := ln.Close()
		done(engine.ListenerEnd{Proven: residue == 0, Residue: residue})
	}
	d.n.After(quiet, check)
}

// Conns is the number of connections that have not had their Closed.
func (d *Driver) Conns() (n int) {
	for _, s := range d.shards {
		for _, c := range s.conns {
			if c != nil {
				n++
			}
		}
	}
	return n
}

// Close ends everything by force, as at process exit. What a handler dials in its
// Closed calls ends at once as well.
func (d *Driver) Close() {
	d.closed = true
	for _, s := range d.shards {
		for _, c := range s.conns {
			if c != nil {
				c.abort()
			}
		}
	}
}

// Crash ends the process: sockets are closed by the kernel, nobody is told.
func (d *Driver) Crash() {
	for _, s := range d.shards {
		s.down = true
		for _, c := range s.conns {
			if c != nil && c.sock != nil {
				c.sock.Close()
			}
		}
	}
}

// Freeze stops the process for good: it reads nothing and does nothing, and its sockets
// stay. Only Crash comes after it.
func (d *Driver) Freeze() {
	for _, s := range d.shards {
		s.down = true
		for _, c := range s.conns {
			if c != nil && c.sock != nil {
				c.sock.Pause()
			}
		}
	}
}

// shard implements engine.Shard.
type shard struct {
	d     *Driver
	n     *Net
	index int
	h     engine.Handler
	conns []*conn
	gens  []int
	free  []int
	down  bool
	asked int
}

// conn is one connection of a shard.
type conn struct {
	s       *shard
	id      engine.ConnID
	sock    *Sock
	closing bool
	asked   bool          // closing, by the handler: it must not send
	linger  time.Duration // of Close
	finSent bool
	eof     bool
	dropped int64
	paused  bool
	owed    bool // Sent is due once the queue is empty
	stops   [engine.NumTimers]func() bool

	into, outOf *move // the Move that this connection is the destination, or the source, of
	lateEOF     bool  // EOF came while a Move out of it was under way
}

func (s *shard) alloc() *conn {
	var slot int
	if k := len(s.free); k > 0 {
		slot, s.free = s.free[k-1], s.free[:k-1]
	} else {
		slot = len(s.conns)
		s.conns, s.gens = append(s.conns, nil), append(s.gens, 0)
	}
	s.gens[slot] = engine.NextGen(s.gens[slot])
	c := &conn{s: s, id: engine.MakeConnID(s.index, s.gens[slot], slot)}
	s.conns[slot] = c
	return c
}

func (s *shard) conn(id engine.ConnID) *conn {
	if id.Slot() >= len(s.conns) {
		return nil
	}
	if c := s.conns[id.Slot()]; c != nil && c.id == id {
		return c
	}
	return nil
}

// live is the connection if the handler may still hear of it.
func (c *conn) live() bool { return !c.s.down && c.s.conn(c.id) == c }

func (c *conn) attach(sock *Sock) {
	c.sock = sock
	s := c.s
	sock.SetEvents(Events{
		Data: func(b []byte) {
			switch {
			case !c.live():
			case c.closing:
				c.dropped += int64(len(b))
			case c.outOf != nil:
				c.outOf.carry(b)
			default:
				s.h.Received(c.id, b)
			}
		},
		EOF: func() {
			c.eof = true
			if !c.live() {
				return
			}
			if c.closing {
				c.finish()
				return
			}
			if c.outOf != nil {
				c.lateEOF = true
				c.outOf.ended()
				return
			}
			s.h.EOF(c.id)
			c.bothDone()
		},
		Room: func() {
			if !c.live() {
				return
			}
			if c.closing {
				return
			}
			if c.into != nil {
				c.into.left()
				return
			}
			c.sent()
			c.bothDone()
		},
		Reset: func() {
			if c.live() {
				c.end(ErrReset)
			}
		},
	})
	c.applyPause()
}

// sent tells that the queue became empty, if anything was sent since it was told the last time.
func (c *conn) sent() {
	if c.owed && c.live() && !c.closing && c.sock.Queued() == 0 {
		c.owed = false
		c.s.h.Sent(c.id)
	}
}

// bothDone ends a connection that has nothing left in either direction.
func (c *conn) bothDone() {
	if c.live() && c.eof && !c.lateEOF && c.finSent && !c.closing && c.sock.Queued() == 0 {
		c.closing, c.linger = true, time.Second
		c.finish()
	}
}

// end is the last word: the slot is free, the handler told.
func (c *conn) end(err error) {
	for i := range c.stops {
		c.disarm(i)
	}
	unsent := int64(0)
	if c.sock != nil {
		unsent = int64(c.sock.Unacked())
		c.sock.Close()
	}
	c.endMoves()
	slot := c.id.Slot()
	c.s.conns[slot] = nil
	c.s.free = append(c.s.free, slot)
	c.s.h.Closed(c.id, engine.End{Err: err, Unsent: unsent, Discarded: c.dropped})
}

// finish waits until the peer has read everything, or two seconds, or twice the linger
// that was asked for, and releases.
func (c *conn) finish() {
	deadline := c.s.n.now.Add(min(2*time.Second, 2*c.linger))
	var check func()
	check = func() {
		if !c.live() {
			return
		}
		if c.sock.Unacked() > 0 && c.s.n.now.Before(deadline) {
			c.s.n.After(time.Millisecond, check)
			return
		}
		c.end(nil)
	}
	c.s.n.After(0, check)
}

func (c *conn) disarm(i int) {
	if c.stops[i] != nil {
		c.stops[i]()
		c.stops[i] = nil
	}
}

// Index implements engine.Shard.
func (s *shard) Index() int { return s.index }

// Now implements engine.Shard.
func (s *shard) Now() time.Time { return s.n.now }

// Dial implements engine.Shard.
func (s *shard) Dial(addr string, timeout time.Duration) engine.ConnID {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	c := s.alloc()
	if s.d.closed {
		c.abort()
		return c.id
	}
	over := false
	var sock *Sock
	result := func(err error) {
		if over {
			return // the other of the two came first
		}
		over = true
		if !c.live() {
			sock.Close() // given up while it was being made
			return
		}
		if err != nil {
			sock.Close()
			slot := c.id.Slot()
			s.conns[slot] = nil
			s.free = append(s.free, slot)
			s.h.Dialed(c.id, err)
			return
		}
		c.attach(sock)
		s.h.Dialed(c.id, nil)
	}
	sock = s.n.Dial(addr, Events{Connected: result})
	s.n.After(timeout, func() { result(ErrTimeout) })
	return c.id
}

// Send implements engine.Shard.
func (s *shard) Send(id engine.ConnID, b []byte) {
	c := s.conn(id)
	if c == nil || len(b) == 0 {
		return
	}
	if c.finSent || c.asked {
		panic("BUG: Send after CloseWrite or Close")
	}
	if !c.closing {
		c.owed = true
		c.sock.Write(b)
	}
}

// Queued implements engine.Shard.
func (s *shard) Queued(id engine.ConnID) int {
	if c := s.conn(id); c != nil && c.sock != nil {
		return c.sock.Queued()
	}
	return 0
}

// Check implements engine.Shard. The peer's kernel is there as long as the simulation is.
func (s *shard) Check(id engine.ConnID, _ time.Duration) (v engine.Vital, ok bool) {
	c := s.conn(id)
	if c == nil || c.sock == nil {
		return v, false
	}
	return engine.Vital{Acked: c.sock.Acked(), Pending: int64(c.sock.Unacked())}, true
}

// Acked implements engine.Shard.
func (s *shard) Acked(id engine.ConnID) int64 {
	if c := s.conn(id); c != nil && c.sock != nil {
		return c.sock.Acked()
	}
	return -1
}

// Pause implements engine.Shard.
func (s *shard) Pause(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.paused = true
		c.applyPause()
	}
}

// Resume implements engine.Shard.
func (s *shard) Resume(id engine.ConnID) {
	if c := s.conn(id); c != nil && c.paused {
		c.paused = false
		c.applyPause()
		c.tellLateEOF()
	}
}

// CloseWrite implements engine.Shard.
func (s *shard) CloseWrite(id engine.ConnID) {
	if c := s.conn(id); c != nil && !c.closing && !c.finSent {
		c.finSent = true
		c.sock.CloseWrite()
		s.n.After(0, c.bothDone)
	}
}

// Close implements engine.Shard.
func (s *shard) Close(id engine.ConnID, linger time.Duration) {
	c := s.conn(id)
	if c == nil || c.closing {
		return
	}
	c.closing, c.asked = true, true
	for i := range c.stops {
		c.disarm(i)
	}
	if s.d.Faults.NoLinger {
		linger = 0
	}
	c.linger = linger
	c.endMoves()
	if c.sock == nil { // still dialing
		s.n.After(0, func() {
			if c.live() {
				c.end(nil)
			}
		})
		return
	}
	c.sock.CloseWrite()
	c.sock.Resume()
	if c.eof {
		c.finish()
		return
	}
	if linger <= 0 {
		s.n.After(time.Millisecond, func() {
			if c.live() {
				c.end(nil)
			}
		})
		return
	}
	s.n.After(linger, func() {
		if c.live() {
			c.finish()
		}
	})
}

// Abort implements engine.Shard.
func (s *shard) Abort(id engine.ConnID) {
	if c := s.conn(id); c != nil {
		c.asked = true
		c.abort()
	}
}

func (c *conn) abort() {
	c.closing = true
	c.endMoves()
	for i := range c.stops {
		c.disarm(i)
	}
	if c.sock != nil {
		c.sock.Abort()
	}
	c.s.n.After(0, func() {
		if c.live() {
			c.end(ErrReset)
		}
	})
}

// Arm implements engine.Shard.
func (s *shard) Arm(id engine.ConnID, t engine.Timer, d time.Duration) {
	c := s.conn(id)
	if c == nil {
		return
	}
	c.disarm(int(t))
	if d <= 0 || c.closing {
		return
	}
	c.stops[t] = s.n.After(d, func() {
		c.stops[t] = nil
		if c.live() && !c.closing {
			s.h.Fired(c.id, t)
		}
	})
}

// maxAsked is the bounded worker set of the simulated shard.
const maxAsked = 64

// Ask implements engine.Shard: the function runs when its answer is due.
func (s *shard) Ask(id engine.ConnID, fn func() any) bool {
	c := s.conn(id)
	if c == nil || c.closing || s.asked >= maxAsked {
		return false
	}
	s.asked++
	s.n.After(s.n.delay()*3, func() {
		s.asked--
		v := fn()
		if c.live() && !c.closing {
			s.h.Answer(c.id, v)
		}
	})
	return true
}
