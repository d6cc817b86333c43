//go:build linux

package epoll

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// What reaches a loop from other goroutines. Anything else is a Notice for the handler.
type (
	listenNote struct{ ln *listener }
	runNote    struct {
		f    func(*loop)
		done chan<- struct{} // has room
	}
	greetNote struct {
		fd       int
		listener int
		peer     engine.Peer
		seen     chan struct{} // closed once the handler saw it; nil: nobody waits
	}
	answerNote struct {
		id engine.ConnID
		v  any
	}
	shutdownNote struct{}
)

// post queues v for the loop and wakes it. False: the loop takes nothing any more. Safe for
// concurrent use, and from within a handler call.
func (l *loop) post(v any) bool {
	l.postMu.Lock()
	defer l.postMu.Unlock()
	if l.deaf {
		return false
	}
	l.posts = append(l.posts, v)
	if !l.notified {
		l.notified = true
		one := [8]byte{}
		binary.NativeEndian.PutUint64(one[:], 1)
		syscall.RawSyscall(unix.SYS_WRITE, uintptr(l.wakeFD), uintptr(unsafe.Pointer(&one)), 8)
	}
	return true
}

// takePosts delivers what is queued, in order.
func (l *loop) takePosts() {
	var b [8]byte
	syscall.RawSyscall(unix.SYS_READ, uintptr(l.wakeFD), uintptr(unsafe.Pointer(&b)), 8)
	l.postMu.Lock()
	l.posts, l.taken = l.taken[:0], l.posts
	l.notified = false
	l.postMu.Unlock()
	for i, v := range l.taken {
		l.taken[i] = nil
		l.deliver(v)
	}
	const keep = 1024
	if cap(l.taken) > keep {
		l.taken = nil
	}
}

func (l *loop) deliver(v any) {
	l.now = time.Now()
	switch v := v.(type) {
	case greetNote:
		l.greet(v)
		if v.seen != nil {
			close(v.seen)
		}
	case answerNote:
		<-l.workers
		if c := l.conn(v.id); c != nil && !c.asked && c.phase != ended {
			l.h.Answer(v.id, v.v)
		}
	case dialedNote:
		l.nameDialed(v)
	case listenNote:
		l.enlist(v.ln)
	case runNote:
		v.f(l)
		v.done <- struct{}{}
	case shutdownNote:
		l.shutdown()
	default:
		if !l.closing {
			l.h.Notice(v)
		}
	}
}

// shutdown ends every connection by force; run ends when each has had its Closed.
func (l *loop) shutdown() {
	l.closing = true
	for n, r := range l.accepting {
		if r != nil {
			l.timers.Disarm(&r.retry)
			if !r.out {
				epollCtl(l.ep, unix.EPOLL_CTL_DEL, r.ln.fd, nil)
			}
			l.accepting[n] = nil
		}
	}
	for _, c := range l.conns {
		if c != nil && c.phase != free {
			if c.asked && c.phase != dialing && c.queued() == 0 {
				l.end(c, net.ErrClosed) // the kernel has all of it: a reset would take that back
			} else {
				l.reset(c, net.ErrClosed)
			}
			c.undialed = false // Closed is the last word for everybody
		}
	}
}

// deafen ends the queue once run is about to return. Whatever holds a descriptor is released.
func (l *loop) deafen() {
	l.postMu.Lock()
	l.deaf = true
	rest := l.posts
	l.posts = nil
	l.postMu.Unlock()
	for _, v := range rest {
		switch v := v.(type) {
		case greetNote:
			closeFD(v.fd)
		case dialedNote:
			v.release()
		}
	}
}
