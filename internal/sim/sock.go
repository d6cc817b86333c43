package sim

import (
	"errors"
	"net/netip"
)

// Errors that a socket ends with.
var (
	ErrReset   = errors.New("connection reset by peer")
	ErrRefused = errors.New("connection refused")
	ErrTimeout = errors.New("connection timed out")
)

// Events are what happens to a socket. Nil fields are ignored.
type Events struct {
	Connected func(error)  // of Dial: nil, ErrRefused or ErrTimeout
	Data      func([]byte) // valid during the call
	EOF       func()       // the peer's FIN, after all its data
	Room      func()       // the send queue became empty
	Reset     func()       // RST: unread data is gone. Nothing comes after it
}

// Sock is one end of a simulated TCP connection.
type Sock struct {
	n     *Net
	Addr  netip.AddrPort // our own address, for identification
	peer  *Sock
	ev    Events
	alive bool // connected, and neither reset nor released

	out      []byte // written, not yet on its way
	inFlight int    // on its way or unread at the peer: the window
	pumping  bool   // an event will send more of out
	fin      bool   // CloseWrite
	finSent  bool
	closed   bool // Close: arriving data is answered by RST
	lastOut  int64

	in      []byte // arrived, not read
	inEOF   bool   // FIN arrived
	eofTold bool
	paused  bool
	reading bool // an event will read
}

// pair makes two connected ends.
func (n *Net) pair(a, b *Sock) {
	a.peer, b.peer = b, a
	a.alive, b.alive = true, true
	n.socks += 2
}

// Alive reports whether the socket is connected: not reset and not fully closed.
func (s *Sock) Alive() bool { return s.alive }

// Queued is the number of written bytes that are not on their way yet.
func (s *Sock) Queued() int { return len(s.out) }

// Unacked is the number of written bytes that the peer has not read.
func (s *Sock) Unacked() int { return len(s.out) + s.inFlight }

// Write queues a copy of b.
func (s *Sock) Write(b []byte) {
	if !s.alive || s.fin || s.closed {
		return
	}
	s.out = append(s.out, b...)
	s.pump()
}

// CloseWrite sends FIN after what was written.
func (s *Sock) CloseWrite() {
	s.fin = true
	s.pump()
}

// Pause stops reading: data and EOF wait in the receive buffer.
func (s *Sock) Pause() { s.paused = true }

// Resume goes on reading.
func (s *Sock) Resume() {
	s.paused = false
	s.read()
}

// Close releases the socket as close(2) does: what was written goes on to the peer,
// then FIN; unread data, or data that comes later, is answered by RST.
func (s *Sock) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.ev = Events{}
	if !s.alive {
		return
	}
	if len(s.in) > 0 {
		s.n.Count["reset by unread data"]++
		s.Abort()
		return
	}
	s.fin = true
	s.pump()
	s.reap()
}

// Abort sends RST and releases; what was written and is not there yet may be lost.
func (s *Sock) Abort() {
	s.closed = true
	s.ev = Events{}
	if !s.alive {
		return
	}
	s.die()
	p := s.peer
	s.ordered(func() { p.reset() })
}

// die ends this end.
func (s *Sock) die() {
	if s.alive {
		s.alive = false
		s.n.socks--
		s.out, s.in = nil, nil
	}
}

// reset: RST arrived.
func (s *Sock) reset() {
	if !s.alive {
		return
	}
	s.die()
	if f := s.ev.Reset; f != nil {
		f()
	}
}

// reap ends a closed socket once both FINs went through.
func (s *Sock) reap() {
	if s.closed && s.finSent && s.inEOF && s.inFlight == 0 {
		s.die()
	}
}

// ordered runs f after one way through the network, and after everything sent before.
func (s *Sock) ordered(f func()) {
	at := s.n.now.Add(s.n.delay())
	if t := at.Sub(Epoch).Nanoseconds(); t > s.lastOut {
		s.lastOut = t
	}
	// Equal times keep the order of scheduling.
	s.n.After(Epoch.Add(durationOf(s.lastOut)).Sub(s.n.now), f)
}

// pump sends a piece of what is queued, as the window allows, and goes on later.
func (s *Sock) pump() {
	if s.pumping || !s.alive {
		return
	}
	s.pumping = true
	s.n.After(s.n.delay()/4, func() {
		s.pumping = false
		s.transmit()
	})
}

func (s *Sock) transmit() {
	if !s.alive {
		return
	}
	if room := s.n.Window - s.inFlight; len(s.out) > 0 && room > 0 {
		k := 1 + s.n.Rand.IntN(min(len(s.out), room))
		if s.n.Chance(0.6) {
			k = min(len(s.out), room)
		} else {
			s.n.Count["short write"]++
		}
		seg := append([]byte(nil), s.out[:k]...)
		s.out = s.out[k:]
		s.inFlight += k
		p := s.peer
		s.ordered(func() { p.arrived(seg) })
		if len(s.out) == 0 {
			s.out = nil
			if f := s.ev.Room; f != nil {
				f()
			}
		}
	}
	if !s.alive {
		return
	}
	if len(s.out) > 0 {
		if s.inFlight < s.n.Window {
			s.pump()
		}
		return
	}
	if s.fin && !s.finSent {
		s.finSent = true
		p := s.peer
		s.ordered(func() { p.finArrived() })
	}
}

func (s *Sock) arrived(seg []byte) {
	if !s.alive {
		return
	}
	if s.closed {
		// Nobody will read this: TCP tells the sender by RST.
		s.n.Count["reset by late data"]++
		s.die()
		p := s.peer
		s.ordered(func() { p.reset() })
		return
	}
	s.in = append(s.in, seg...)
	s.read()
}

func (s *Sock) finArrived() {
	if !s.alive {
		return
	}
	s.inEOF = true
	if s.closed {
		s.reap()
		return
	}
	s.read()
}

// read hands a piece of the receive buffer to the application, later.
func (s *Sock) read() {
	if s.reading || !s.alive {
		return
	}
	s.reading = true
	s.n.After(s.n.delay()/8, func() {
		s.reading = false
		s.deliver()
	})
}

func (s *Sock) deliver() {
	if !s.alive || s.paused || s.closed {
		return
	}
	if len(s.in) > 0 {
		k := len(s.in)
		if s.n.Chance(0.3) {
			k = 1 + s.n.Rand.IntN(k)
			s.n.Count["short read"]++
		}
		k = min(k, 32<<10)
		b := s.in[:k]
		s.in = s.in[k:]
		s.peer.inFlight -= k
		s.peer.windowOpened()
		if f := s.ev.Data; f != nil {
			f(b)
		}
		if s.alive && (len(s.in) > 0 || s.inEOF) {
			s.read()
		}
		return
	}
	if s.inEOF && !s.eofTold {
		s.eofTold = true
		if f := s.ev.EOF; f != nil {
			f()
		}
		s.reap()
	}
}

// windowOpened: the peer has read.
func (s *Sock) windowOpened() {
	if !s.alive {
		return
	}
	if len(s.out) > 0 || s.fin && !s.finSent {
		s.pump()
	}
	s.reap()
}
