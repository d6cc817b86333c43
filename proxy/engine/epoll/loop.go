//go:build linux

package epoll

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

const (
	readSize = 32 << 10 // one read: a head and a 16 KiB body in one piece; a larger one is moved
	// maxReads is how many reads one connection gets in a round: whoever floods waits for
	// the others.
	maxReads = 4
	// yieldEvery is how long a loop runs before it goes through the scheduler. One that does
	// not for 10 ms is preempted by a signal, and its P taken in every system call from then on.
	yieldEvery = 4 * time.Millisecond
	// clockEvery is how many events share one look at the clock.
	clockEvery = 4
	// settleEvery is how many events are handled before what they brought about leaves.
	settleEvery = 16
)

// loop implements engine.Shard. Every field is owned by the goroutine of run, except
// where it says otherwise.
type loop struct {
	d       *Driver
	index   int
	h       engine.Handler
	running bool // set before run starts

	ep, wakeFD int
	events     [256]unix.EpollEvent
	in         []byte // scratch of every read

	began   time.Time // now is never before
	now     time.Time
	yielded time.Time
	timers  wheel.Wheel
	wakeAt  time.Time // when timers want to be looked at; zero: never. May be too early, never too late

	conns   []*conn                              // by slot
	gens    []int                                // by slot: the last generation used
	dials   map[engine.ConnID]context.CancelFunc // of goroutines that dial a name
	free    []int
	live    int // connections that were not forgotten
	touched []*conn
	settled []*conn // the other half of a double buffer
	pipes   pipes
	moves   moves
	outs    buffers // for what the kernel does not take at once

	accepting []*registration // by number, from 1; nil: free
	closing   bool

	load    atomic.Int64  // accepted connections that live; read by every loop that accepts
	workers chan struct{} // a place for each running Ask

	postMu   sync.Mutex // guards posts, notified and deaf
	posts    []any
	notified bool // wakeFD was written to, and posts not taken since
	deaf     bool // nobody will read posts any more
	taken    []any
}

func newLoop(d *Driver, index int) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, err
	}
	l := &loop{d: d, index: index, ep: ep, wakeFD: wake, in: make([]byte, readSize),
		workers: make(chan struct{}, d.cfg.Workers), accepting: make([]*registration, 1),
		dials: map[engine.ConnID]context.CancelFunc{}, began: time.Now()}
	ev := event(0, unix.EPOLLIN)
	if errno := epollCtl(ep, unix.EPOLL_CTL_ADD, wake, &ev); errno != 0 {
		l.release()
		return nil, errno
	}
	return l, nil
}

// release gives back what newLoop made, once run has ended.
func (l *loop) release() {
	unix.Close(l.ep)
	unix.Close(l.wakeFD)
	l.pipes.release()
}

// event carries an ID through the kernel. Generation 0 is never a connection: ID 0 is the
// wake-up, slot n the listener with registration number n.
func event(id engine.ConnID, events uint32) unix.EpollEvent {
	return unix.EpollEvent{Events: events, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
}

func eventID(ev *unix.EpollEvent) engine.ConnID {
	return engine.ConnID(uint32(ev.Pad))<<32 | engine.ConnID(uint32(ev.Fd))
}

// run is the loop. Owner: Driver; ends with Close, when every connection has had its Closed.
func (l *loop) run() {
	defer l.d.wg.Done()
	for !l.closing || l.live > 0 {
		n, errno := epollWait(l.ep, l.events[:], l.patience())
		if errno != 0 && errno != syscall.EINTR {
			panic("BUG: epoll_wait: " + errno.Error())
		}
		l.now = time.Now()
		if l.now.Sub(l.yielded) > yieldEvery {
			l.yielded = l.now
			runtime.Gosched()
		}
		for i := range max(n, 0) {
			if i%clockEvery == clockEvery-1 {
				l.now = time.Now()
			}
			l.dispatch(&l.events[i])
			if i%settleEvery == settleEvery-1 {
				l.settle()
			}
		}
		l.fire()
		l.settle()
	}
	l.deafen()
}

// patience is how long the loop may sleep, in milliseconds; -1 is for ever.
func (l *loop) patience() int {
	switch {
	case len(l.touched) > 0 || l.closing:
		return 0
	case l.wakeAt.IsZero():
		return -1
	}
	d := l.wakeAt.Sub(l.now)
	return int(min(max((d+time.Millisecond-1)/time.Millisecond, 0), 1<<30))
}

func (l *loop) dispatch(ev *unix.EpollEvent) {
	id := eventID(ev)
	if id.Gen() != 0 {
		if c := l.conn(id); c != nil {
			l.ready(c, ev.Events)
		}
		return
	}
	if slot := id.Slot(); slot != 0 {
		if r := l.accepting[slot]; r != nil {
			l.accept(r)
		}
		return
	}
	l.takePosts()
}

// ready takes what the kernel has to say about a connection.
func (l *loop) ready(c *conn, events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLPRI|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.readable = true
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLPRI) != 0 {
		c.ending = true
	}
	switch c.phase {
	case dialing:
		l.connected(c, events)
		return
	case free, ended:
		return
	case open, flushing, lingering, acking:
	}
	if events&unix.EPOLLERR != 0 && (c.paused || c.eof) && unread(c.fd) == 0 {
		// Nobody reads on, so nobody would be told: whatever is done for this peer is
		// done in vain.
		if errno := pendingError(c.fd); errno != 0 {
			l.end(c, netError("read", errno))
			return
		}
	}
	if events&unix.EPOLLOUT != 0 && c.clogged {
		c.clogged = false
		l.flush(c)
		l.touch(c) // Sent, or whatever waited for this
	}
	l.read(c)
	if c.phase != open {
		l.touch(c)
	}
}

// touch has a connection looked at when the loop settles.
func (l *loop) touch(c *conn) {
	if !c.touched {
		c.touched = true
		l.touched = append(l.touched, c)
	}
}

// settle does what handler calls asked for. One pass: what is touched meanwhile waits for
// the next round, so that a chain of calls cannot keep the loop from its other connections.
func (l *loop) settle() {
	if len(l.touched) == 0 {
		return
	}
	l.touched, l.settled = l.settled[:0], l.touched
	for i, c := range l.settled {
		c.touched = false
		l.settled[i] = nil
		l.progress(c)
	}
}

// progress takes a connection as far as it can go by itself.
func (l *loop) progress(c *conn) {
	switch c.phase {
	case free, dialing:
	case open:
		l.progressOpen(c)
	case flushing, lingering, acking:
		l.finish(c)
	case ended:
		l.lastWord(c)
	}
}

func (l *loop) progressOpen(c *conn) {
	l.flush(c)
	if c.writeErr != nil && (c.paused || c.eof) {
		l.end(c, c.writeErr)
		return
	}
	if c.owed && c.queued() == 0 && c.writeErr == nil {
		c.owed = false
		l.h.Sent(c.id)
		if c.phase != open {
			return
		}
	}
	if c.fin && !c.finSent && c.queued() == 0 && c.writeErr == nil {
		c.finSent = true
		shutdownWrite(c.fd)
	}
	if c.eof && c.finSent {
		l.await(c, l.d.cfg.Flush)
		return
	}
	l.read(c)
}

// lastWord says Dialed or Closed. The ID is dead when the handler hears it.
func (l *loop) lastWord(c *conn) {
	id, end := c.id, engine.End{Err: c.err, Unsent: c.lost, Discarded: c.discarded}
	failed := c.undialed && !c.asked
	if c.accepted {
		l.load.Add(-1)
	}
	l.parted(c)
	l.forget(c)
	if failed {
		l.h.Dialed(id, end.Err)
		return
	}
	l.h.Closed(id, end)
}

// fire runs the timers that are due. wakeAt may have been set by one that was disarmed since.
func (l *loop) fire() {
	if l.wakeAt.IsZero() || l.now.Before(l.wakeAt) {
		return
	}
	for n := l.timers.Pop(l.now); n != nil; n = l.timers.Pop(l.now) {
		l.now = time.Now()
		switch owner := n.Owner.(type) {
		case *conn:
			l.fireConn(owner)
		case *registration:
			l.register(slices.Index(l.accepting, owner))
		}
	}
	l.wakeAt = time.Time{}
	if next, ok := l.timers.Next(); ok {
		l.wakeAt = next
	}
}

// fireConn runs the timers of one connection that are due. One that ends the connection
// disarms the others.
func (l *loop) fireConn(c *conn) {
	for i := c.timers.Pop(&l.timers, l.now); i >= 0; i = c.timers.Pop(&l.timers, l.now) {
		if t := engine.Timer(i); t != timerPhase {
			l.h.Fired(c.id, t)
		} else {
			l.phaseTimeout(c)
		}
	}
}

// arm arms a timer of a connection, and sees to it that the loop wakes in time.
func (l *loop) arm(c *conn, t engine.Timer, d time.Duration) {
	if c.timers.Arm(&l.timers, int(t), l.now, d) {
		l.wakeFor(&c.timers.Node)
	}
}

func (l *loop) wakeFor(n *wheel.Node) {
	if at := l.timers.When(n); l.wakeAt.IsZero() || at.Before(l.wakeAt) {
		l.wakeAt = at
	}
}
