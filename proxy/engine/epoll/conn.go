//go:build linux

package epoll

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

var (
	// errReset is the end of a connection that Abort cut.
	errReset = errors.New("reset by us")
	// errUnflushed is the end of a close whose linger was too short for what was queued.
	errUnflushed = errors.New("the peer did not take what was queued in time")
)

// phase is where a connection stands.
//
//	         connected           Close                  flushed, FIN sent        EOF, or linger over
//	dialing ───────────▶ open ──────────▶ flushing ─────────────────▶ lingering ─────────────────▶ acking
//	   │                  │ FIN both ways    │                            │                           │
//	   │                  └─────────────────────────────────────────────────────────────────────────▶ │
//	   └── failed, Close, Abort ─┴── error ──┴────────── Abort ───────────┴──────────▶ ended ◀────────┘
//
// ended: the descriptor is closed; the last word (Dialed or Closed) is said when the
// loop settles.
type phase uint8

const (
	free phase = iota // the slot is nobody's
	dialing
	open
	flushing  // Close was called; bytes are still queued
	lingering // FIN is sent; what comes is discarded, up to EOF
	acking    // FIN both ways; waits for the peer's kernel to have it all
	ended
)

func (p phase) String() string {
	switch p {
	case free:
		return "free"
	case dialing:
		return "dialing"
	case open:
		return "open"
	case flushing:
		return "flushing"
	case lingering:
		return "lingering"
	case acking:
		return "acking"
	case ended:
		return "ended"
	}
	return "invalid"
}

// timerPhase is the driver's own timer: it bounds the phase. The others are the handler's.
const timerPhase = engine.NumTimers

// A group holds them all.
const _ = uint(wheel.GroupSize - engine.NumTimers - 1)

// conn is one connection. Owned by its loop.
type conn struct {
	id     engine.ConnID
	fd     int // -1: none
	phase  phase
	timers wheel.Group // by engine.Timer, and timerPhase

	accepted bool // counted in loop.load
	maySelf  bool // dialed to where a connect may meet itself
	undialed bool // it ended before it was connected
	touched  bool // in loop.touched
	readable bool // the kernel may have something: bytes, FIN or an error
	clogged  bool // the kernel took not all of the last write: EPOLLOUT will tell
	ending   bool // FIN, a hang-up, an error or urgent data were announced: a short read is not the last
	paused   bool
	eof      bool // EOF was read
	fin      bool // CloseWrite was called
	finSent  bool
	owed     bool // Sent is due once the queue is empty
	asked    bool // Close or Abort was called: the handler must not send, and hears Closed only

	out       []byte // queued by Send; out[off:] is what the kernel has not taken
	off       int
	lost      int64 // bytes of Send that will never leave, or whose arrival nobody will confirm
	discarded int64
	err       error // why it broke; nil: in good order
	writeErr  error // only the write side is broken: what the peer sent before may still be read

	linger time.Duration // of Close
	until  time.Duration // acking: when to stop waiting, from loop.began

	into, outOf *move // the Move that this connection is the destination, or the source, of
	parting     *move // ended with this connection, its destination; the source waits
}

// queued is the number of bytes of Send that the kernel has not taken.
func (c *conn) queued() int {
	n := len(c.out) - c.off
	if c.into != nil {
		n += c.into.held
	}
	return n
}

// alloc makes a connection with a fresh ID.
func (l *loop) alloc(p phase, fd int) *conn {
	var slot int
	if n := len(l.free); n > 0 {
		slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		slot = len(l.conns)
		l.conns, l.gens = append(l.conns, nil), append(l.gens, 0)
	}
	l.gens[slot] = engine.NextGen(l.gens[slot])
	c := l.conns[slot]
	if c == nil {
		c = &conn{}
		c.timers.Owner = c
		l.conns[slot] = c
	}
	c.id, c.phase, c.fd = engine.MakeConnID(l.index, l.gens[slot], slot), p, fd
	l.live++
	return c
}

// conn is the connection of a live ID, or nil.
func (l *loop) conn(id engine.ConnID) *conn {
	slot := id.Slot()
	if slot >= len(l.conns) {
		return nil
	}
	if c := l.conns[slot]; c != nil && c.id == id && c.phase != free {
		return c
	}
	return nil
}

// spare is how many free slots keep their conn for the next one.
const spare = 1024

// forget frees the slot; the ID is dead from here on.
func (l *loop) forget(c *conn) {
	l.disarm(c)
	slot := c.id.Slot()
	l.free = append(l.free, slot)
	l.live--
	if len(l.free) > spare {
		l.conns[slot] = nil
		return
	}
	*c = conn{fd: -1}
	c.timers.Owner = c
}

func (l *loop) disarm(c *conn) { c.timers.DisarmAll(&l.timers) }

const interest = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// watch puts the descriptor of c into the epoll set, for as long as it is open.
func (l *loop) watch(c *conn) error {
	ev := event(c.id, interest)
	if errno := epollCtl(l.ep, unix.EPOLL_CTL_ADD, c.fd, &ev); errno != 0 {
		return errno
	}
	return nil
}

// drop closes the descriptor. It leaves the epoll set first: as long as anybody else has a
// duplicate (a child between fork and exec), closing would not take it out (epoll(7)).
func (l *loop) drop(c *conn) {
	if c.fd >= 0 {
		epollCtl(l.ep, unix.EPOLL_CTL_DEL, c.fd, nil)
		closeFD(c.fd)
		c.fd = -1
	}
}

// end releases a connection. err is nil for good order; the first reason stands. What the
// kernel has not confirmed counts as unsent, and so does what is still queued.
func (l *loop) end(c *conn, err error) {
	unconfirmed := 0
	if c.phase != dialing && c.phase != ended {
		unconfirmed = unacked(c.fd) // the kernel forgets with the descriptor
	}
	l.endKnowing(c, err, unconfirmed)
}

// endKnowing is end for whoever has asked the kernel already.
func (l *loop) endKnowing(c *conn, err error, unconfirmed int) {
	if c.phase == ended {
		return
	}
	if c.err == nil {
		c.err = err
	}
	c.lost += int64(len(c.out) - c.off)
	l.emptied(c)
	l.endMoves(c)
	if c.finSent && unconfirmed > 0 {
		unconfirmed-- // the FIN, which the kernel counts too
	}
	c.lost += int64(unconfirmed)
	if c.phase == dialing {
		c.undialed = true
		l.stopDial(c)
	}
	l.drop(c)
	l.disarm(c)
	c.phase = ended
	l.touch(c)
}
