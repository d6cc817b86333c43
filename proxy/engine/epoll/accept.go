//go:build linux

package epoll

import (
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

// maxAccepts is how many connections a loop accepts in one go: the others want some, too.
const maxAccepts = 16

// registration is a listener in the epoll set of one loop.
type registration struct {
	ln    *listener
	out   bool // taken out of the set, until retry fires
	delay time.Duration
	hurry bool // Unlisten has begun: what is queued would be reset, so no long wait any more
	retry wheel.Node
}

// enlist puts a listener into the set. Registration numbers are used again: an event that is
// under way for a former one finds another listener readable, which does no harm.
func (l *loop) enlist(ln *listener) {
	r := &registration{ln: ln}
	r.retry.Owner = r
	n := 1 + slices.Index(l.accepting[1:], nil)
	if n == 0 {
		n = len(l.accepting)
		l.accepting = append(l.accepting, nil)
	}
	l.accepting[n] = r
	l.register(n)
}

func (l *loop) register(n int) {
	r := l.accepting[n]
	ev := event(engine.ConnID(n), unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	if errno := epollCtl(l.ep, unix.EPOLL_CTL_ADD, r.ln.fd, &ev); errno != 0 {
		l.backOff(r, os.NewSyscallError("epoll_ctl", errno))
		return
	}
	r.out = false
}

func (l *loop) registered(ln *listener) int {
	return slices.IndexFunc(l.accepting, func(r *registration) bool { return r != nil && r.ln == ln })
}

// leave takes a listener out of the set for good, after a last sweep of its queue.
func (l *loop) leave(ln *listener) {
	n := l.registered(ln)
	if n < 0 {
		return
	}
	r := l.accepting[n]
	for !r.out && l.accept(r) {
	}
	l.timers.Disarm(&r.retry)
	if !r.out {
		epollCtl(l.ep, unix.EPOLL_CTL_DEL, ln.fd, nil)
	}
	l.accepting[n] = nil
}

// yieldSweeps bounds the last sweep of a listener that others accept from: more than so many
// at a time do not wait (somaxconn), and under a storm there is always one more.
const yieldSweeps = 4096 / maxAccepts

// yield takes a listener out of the set for good, and then accepts what may have woken only
// this loop.
func (l *loop) yield(ln *listener) {
	n := l.registered(ln)
	if n < 0 {
		return
	}
	r := l.accepting[n]
	l.timers.Disarm(&r.retry)
	if !r.out {
		epollCtl(l.ep, unix.EPOLL_CTL_DEL, ln.fd, nil)
		r.out = true // an accept that fails finds nothing to take out
	}
	for range yieldSweeps {
		if !l.accept(r) {
			break
		}
	}
	l.timers.Disarm(&r.retry) // a back-off of this very sweep
	l.accepting[n] = nil
}

// hurry ends a back-off that would be too long for a listener that is about to close.
func (l *loop) hurry(ln *listener) {
	n := l.registered(ln)
	if n < 0 {
		return
	}
	r := l.accepting[n]
	r.hurry = true
	if r.out {
		l.retryIn(r, minBackOff)
	}
}

// accept takes up to maxAccepts connections; true: there may be more.
func (l *loop) accept(r *registration) bool {
	var sa unix.RawSockaddrAny
	for range maxAccepts {
		fd, errno := acceptOne(r.ln.fd, &sa)
		switch errno {
		case 0:
		case syscall.EAGAIN:
			r.delay = 0
			return false
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO, syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN,
			syscall.ENONET, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH:
			continue // an error of the connection that was queued (accept(2)): that one is gone
		default:
			l.backOff(r, os.NewSyscallError("accept4", errno))
			return false
		}
		r.delay = 0
		p := engine.Peer{Remote: addrPort(&sa), Local: r.ln.local}
		if !p.Local.IsValid() {
			p.Local = localAddr(fd)
		}
		l.place(greetNote{fd: fd, listener: r.ln.index, peer: p})
	}
	return true
}

// backOff stops accepting for a while: there is no descriptor or no memory. Trying on at
// once would spin, and giving up would lose the listener.
func (l *loop) backOff(r *registration, err error) {
	if !r.out {
		epollCtl(l.ep, unix.EPOLL_CTL_DEL, r.ln.fd, nil)
		r.out = true
	}
	r.delay = min(max(2*r.delay, minBackOff), maxBackOff)
	if r.hurry {
		r.delay = minBackOff
	}
	l.retryIn(r, r.delay)
	if l.d.cfg.AcceptError != nil {
		l.d.cfg.AcceptError(r.ln.index, err)
	}
}

func (l *loop) retryIn(r *registration, d time.Duration) {
	l.timers.Arm(&r.retry, l.now, d)
	l.wakeFor(&r.retry)
}

// place keeps a new connection, or gives it to the loop with the fewest if this one has
// more than its share: the kernel wakes whoever waits, which at a low load is always the same.
func (l *loop) place(g greetNote) {
	total, least := int64(0), l
	for _, other := range l.d.loops {
		n := other.load.Load()
		total += n
		if n < least.load.Load() {
			least = other
		}
	}
	mine, loops := l.load.Load(), int64(len(l.d.loops))
	if least != l && 8*loops*mine > 9*total+8*loops { // over 1.125 times the average, and by more than one
		least.load.Add(1)
		if !least.post(g) {
			least.load.Add(-1)
			closeFD(g.fd)
		}
		return
	}
	l.load.Add(1)
	l.greet(g)
}

// greet makes a connection of an accepted socket. Its place in load is taken already.
func (l *loop) greet(g greetNote) {
	if l.closing {
		l.load.Add(-1)
		closeFD(g.fd)
		return
	}
	c := l.alloc(open, g.fd)
	c.accepted = true
	if err := l.watch(c); err != nil {
		closeFD(g.fd)
		c.fd = -1
		l.forget(c)
		l.load.Add(-1)
		if l.d.cfg.AcceptError != nil {
			l.d.cfg.AcceptError(g.listener, os.NewSyscallError("epoll_ctl", err))
		}
		return
	}
	l.now = time.Now()
	l.h.Accepted(c.id, g.listener, g.peer)
}
