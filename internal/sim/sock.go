package sim

import (
	"errors"
	"net/netip"
	"time"
)

// Errors that a socket ends with.
var (
	ErrReset   = errors.New("connection reset by peer")
	ErrRefused = errors.New("connection refused")
	ErrTimeout = errors.New("connection timed out")
	// ErrUnflushed is the end of a Close whose linger was too short for what was queued.
	ErrUnflushed = errors.New("the peer did not take what was queued in time")
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
	Addr  netip.AddrPort // our own address, for identification; both ends have the dialer's
	To    string         // the address that was dialed; empty at the accepting end
	peer  *Sock
	ev    Events
	alive bool // connected, and neither reset nor released

	out      buffer // written, not yet on its way
	wrote    int64
	inFlight int  // on its way or unread at the peer: the window
	pumping  bool // an event will send more of out
	fin      bool // CloseWrite
	finSent  bool
	closed   bool     // Close: arriving data is answered by RST
	wire     []packet // on its way to us, in order
	lastOut  int64    // when what was sent last arrives, in nanoseconds since Epoch

	in      buffer // arrived, not read
	inEOF   bool   // FIN arrived
	eofTold bool
	paused  bool
	reading bool // an event will read
	most    int  // of one Data; 0: no limit

	// The methods of the same names, bound once.
	transmitFunc, deliverFunc, arriveFunc func()
}

// packet is what travels: data, FIN or RST.
type packet struct {
	data []byte // nil: fin, or reset
	fin  bool
}

// buffer is a queue of bytes that keeps its memory.
type buffer struct {
	b   []byte
	off int // what is before was taken
}

func (q *buffer) len() int { return len(q.b) - q.off }

func (q *buffer) add(b []byte) {
	if q.off > 0 && len(q.b)+len(b) > cap(q.b) {
		q.b, q.off = append(q.b[:0], q.b[q.off:]...), 0
	}
	q.b = append(q.b, b...)
}

// take removes n bytes; they are valid until the next add.
func (q *buffer) take(n int) []byte {
	b := q.b[q.off : q.off+n]
	if q.off += n; q.off == len(q.b) {
		q.b, q.off = q.b[:0], 0
	}
	return b
}

func (n *Net) newSock(ev Events) *Sock {
	s := &Sock{n: n, ev: ev}
	s.transmitFunc, s.deliverFunc, s.arriveFunc = s.transmit, s.deliver, s.arrive
	return s
}

// pair makes two connected ends.
func (n *Net) pair(a, b *Sock) {
	a.peer, b.peer = b, a
	a.alive, b.alive = true, true
	n.socks += 2
}

// Peer is the other end; nil before the connection stands.
func (s *Sock) Peer() *Sock { return s.peer }

// Alive reports whether the socket is connected: not reset and not fully closed.
func (s *Sock) Alive() bool { return s.alive }

// Queued is the number of written bytes that are not on their way yet.
func (s *Sock) Queued() int { return s.out.len() }

// Room is how much more the window takes before a writer must wait.
func (s *Sock) Room() int { return max(0, s.n.Window-s.inFlight) }

// Unread is the number of bytes that arrived and wait to be read.
func (s *Sock) Unread() int { return s.in.len() }

// Acked is the number of written bytes that the peer has read.
func (s *Sock) Acked() int64 { return s.wrote - int64(s.Unacked()) }

// Unacked is the number of written bytes that the peer has not read.
func (s *Sock) Unacked() int { return s.out.len() + s.inFlight }

// Write queues a copy of b.
func (s *Sock) Write(b []byte) {
	if !s.alive || s.fin || s.closed {
		return
	}
	if s.n.Tap != nil {
		s.n.Tap(s, b)
	}
	s.out.add(b)
	s.wrote += int64(len(b))
	s.pump()
}

// CloseWrite sends FIN after what was written.
func (s *Sock) CloseWrite() {
	s.fin = true
	s.pump()
}

// Pause stops reading: data and EOF wait in the receive buffer.
func (s *Sock) Pause() { s.paused = true }

// ReadMost bounds what one Data hands over; 0 is no limit.
func (s *Sock) ReadMost(n int) { s.most = n }

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
	if s.in.len() > 0 {
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
	s.travel(packet{})
}

// die ends this end.
func (s *Sock) die() {
	if s.alive {
		s.alive = false
		s.n.socks--
		s.out, s.in = buffer{}, buffer{}
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

// travel sends p one way through the network; it arrives after everything sent before.
func (s *Sock) travel(p packet) {
	s.lastOut = max(s.lastOut, s.n.at+int64(s.n.delay()))
	s.peer.wire = append(s.peer.wire, p)
	// Equal times keep the order of scheduling.
	s.n.later(time.Duration(s.lastOut-s.n.at), s.peer.arriveFunc)
}

// arrive takes the next packet from the wire.
func (s *Sock) arrive() {
	p := s.wire[0]
	if s.wire = s.wire[1:]; len(s.wire) == 0 {
		s.wire = nil
	}
	switch {
	case p.data != nil:
		s.arrived(p.data)
		s.n.segments = append(s.n.segments, p.data[:0])
	case p.fin:
		s.finArrived()
	default:
		s.reset()
	}
}

// pump sends a piece of what is queued, as the window allows, and goes on later.
func (s *Sock) pump() {
	if s.pumping || !s.alive {
		return
	}
	s.pumping = true
	s.n.later(s.n.delay()/4, s.transmitFunc)
}

func (s *Sock) transmit() {
	s.pumping = false
	if !s.alive {
		return
	}
	if room := s.n.Window - s.inFlight; s.out.len() > 0 && room > 0 {
		k := 1 + s.n.Rand.IntN(min(s.out.len(), room))
		if s.n.Chance(0.6) {
			k = min(s.out.len(), room)
		} else {
			s.n.Count["short write"]++
		}
		s.inFlight += k
		s.travel(packet{data: append(s.n.segment(), s.out.take(k)...)})
		if s.out.len() == 0 {
			if f := s.ev.Room; f != nil {
				f()
			}
		}
	}
	if !s.alive {
		return
	}
	if s.out.len() > 0 {
		if s.inFlight < s.n.Window {
			s.pump()
		}
		return
	}
	if s.fin && !s.finSent {
		s.finSent = true
		s.travel(packet{fin: true})
		s.reap()
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
		s.travel(packet{})
		return
	}
	s.in.add(seg)
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
	s.n.later(s.n.delay()/8, s.deliverFunc)
}

func (s *Sock) deliver() {
	s.reading = false
	if !s.alive || s.paused || s.closed {
		return
	}
	if s.in.len() > 0 {
		k := s.in.len()
		if s.n.Chance(0.3) {
			k = 1 + s.n.Rand.IntN(k)
			s.n.Count["short read"]++
		}
		k = min(k, 32<<10)
		if s.most > 0 {
			k = min(k, s.most)
		}
		b := s.in.take(k)
		s.peer.inFlight -= k
		s.peer.windowOpened()
		if f := s.ev.Data; f != nil {
			f(b)
		}
		if s.alive && (s.in.len() > 0 || s.inEOF) {
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
	if s.out.len() > 0 || s.fin && !s.finSent {
		s.pump()
	}
	s.reap()
}
