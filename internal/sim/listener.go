package sim

import (
	"net/netip"
	"time"
)

// synTimeout is how long a dialer goes on when its SYNs are dropped. Real kernels take
// longer; no simulation needs that.
const synTimeout = 3 * time.Second

// Listener is a listening socket with its accept queue.
type Listener struct {
	n      *Net
	addr   string
	queue  []*Sock     // handshake done, not accepted
	accept func(*Sock) // nil: nobody accepts, the queue grows
	shed   bool        // SYNs are dropped
	closed bool
	draws  bool // an event will accept
}

// Listen opens addr. A closed listener's address may be opened again.
func (n *Net) Listen(addr string) *Listener {
	ln := &Listener{n: n, addr: addr}
	n.listeners[addr] = ln
	return ln
}

// Accept begins to take connections from the queue.
func (ln *Listener) Accept(f func(*Sock)) {
	ln.accept = f
	ln.draw()
}

// Shed drops new SYNs; handshakes that began still complete.
func (ln *Listener) Shed() { ln.shed = true }

// Unshed undoes Shed.
func (ln *Listener) Unshed() { ln.shed = false }

// Queued is the length of the accept queue.
func (ln *Listener) Queued() int { return len(ln.queue) }

// Close closes the socket: what is queued is reset, later SYNs are refused. It
// returns how many were queued.
func (ln *Listener) Close() int {
	ln.closed = true
	if ln.n.listeners[ln.addr] == ln {
		delete(ln.n.listeners, ln.addr)
	}
	residue := len(ln.queue)
	for _, s := range ln.queue {
		ln.n.Count["reset in the accept queue"]++
		s.Abort()
	}
	ln.queue = nil
	return residue
}

func (ln *Listener) draw() {
	if ln.draws || ln.accept == nil || len(ln.queue) == 0 {
		return
	}
	ln.draws = true
	ln.n.later(ln.n.delay()/2, func() {
		ln.draws = false
		if ln.closed || ln.accept == nil || len(ln.queue) == 0 {
			return
		}
		s := ln.queue[0]
		ln.queue = ln.queue[1:]
		s.paused = false
		ln.accept(s)
		s.read() // what came while it was queued
		ln.draw()
	})
}

// Dial connects to addr. The result's Connected event tells how it went.
func (n *Net) Dial(addr string, ev Events) *Sock {
	n.dials++
	return n.DialFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n.dials >> 16), byte(n.dials >> 8), byte(n.dials)}), 40000), addr, ev)
}

// DialFrom is Dial from an address that nobody else has. Those of Dial are in 10.0.0.0/8.
func (n *Net) DialFrom(from netip.AddrPort, addr string, ev Events) *Sock {
	s := n.newSock(ev)
	s.To, s.Addr = addr, from
	n.later(n.delay(), func() { n.syn(addr, s, n.now.Add(synTimeout)) })
	return s
}

// SetEvents replaces the events of a socket.
func (s *Sock) SetEvents(ev Events) { s.ev = ev }

// syn is a SYN arriving.
func (n *Net) syn(addr string, s *Sock, give time.Time) {
	ln := n.listeners[addr]
	switch {
	case s.closed:
		return
	case ln == nil:
		n.Count["refused"]++
		n.later(n.delay(), func() { s.connected(ErrRefused) })
		return
	case ln.shed:
		n.Count["SYN shed"]++
		if n.now.After(give) {
			s.connected(ErrTimeout)
			return
		}
		n.later(time.Second, func() { n.syn(addr, s, give) })
		return
	}
	// SYN-ACK and ACK: the handshake is done one round trip later, if the listener lives.
	n.later(n.delay()*2, func() {
		if s.closed {
			return
		}
		if ln.closed {
			n.Count["reset in the handshake"]++
			s.connected(ErrReset)
			return
		}
		far := n.newSock(Events{})
		far.paused = true // nobody reads it before it is accepted
		n.pair(s, far)
		far.Addr = s.Addr
		ln.queue = append(ln.queue, far)
		s.connected(nil)
		ln.draw()
	})
}

func (s *Sock) connected(err error) {
	if s.closed {
		return
	}
	if f := s.ev.Connected; f != nil {
		f(err)
	}
}
