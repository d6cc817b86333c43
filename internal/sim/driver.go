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
