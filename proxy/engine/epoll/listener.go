//go:build linux

package epoll

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/internal/synshed"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// listener is a listening socket. A TCP socket of the system is shared by all loops: each
// has it in its epoll set with EPOLLEXCLUSIVE, so that one connection wakes one of them.
// Any other net.Listener has a goroutine that accepts (foreign.go).
type listener struct {
	index   int
	fd      int            // a duplicate of our own; -1 for a foreign one
	local   netip.AddrPort // zero: bound to every address, ask each connection
	foreign *foreign       // nil for a socket
}

// Listen implements engine.Driver.
func (d *Driver) Listen(index int, nl net.Listener) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	if d.listeners[index] != nil {
		return errors.New("epoll: listener index in use")
	}
	ln := &listener{index: index, fd: -1}
	tcp, ok := nl.(*net.TCPListener)
	if !ok {
		ln.foreign = d.acceptForeign(index, nl)
		d.listeners[index] = ln
		return nil
	}
	if err := ln.adopt(tcp); err != nil {
		return err
	}
	d.listeners[index] = ln
	for _, l := range d.loops {
		l.post(listenNote{ln})
	}
	return nil
}

// adopt takes the socket over. The original descriptor is closed: as long as it is open,
// the runtime's poller is woken for every connection as well.
func (ln *listener) adopt(tcp *net.TCPListener) error {
	fd, err := duplicate(tcp)
	if err != nil {
		return err
	}
	tcp.Close()
	ln.fd = fd
	if at := localAddr(fd); !at.Addr().IsUnspecified() {
		ln.local = at
	}
	// Accepted sockets inherit these.
	setStreamOptions(fd)
	return nil
}

// setStreamOptions: no delay for small writes, and TCP keepalive as Go's listeners have it
// (idle 60 s, then every 15 s, 9 times).
func setStreamOptions(fd int) {
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60)
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9)
}

// duplicate is a descriptor of our own for a socket of package net.
func duplicate(c syscall.Conn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var inner error
	if err := raw.Control(func(p uintptr) { fd, inner = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, inner
}

// Unlisten implements engine.Driver. The loops accept on while SYNs are shed: that is what
// empties the queue. Then each leaves, with a last sweep, and a second round waits for
// connections that one loop accepted and another has to greet.
func (d *Driver) Unlisten(index int) engine.ListenerEnd {
	d.mu.Lock()
	ln := d.listeners[index]
	delete(d.listeners, index)
	d.mu.Unlock()
	if ln == nil {
		return engine.ListenerEnd{Proven: true}
	}
	if ln.foreign != nil {
		r := synshed.Close(context.WithoutCancel(d.ctx), ln.foreign.nl, d.cookies.Older())
		ln.stop()
		<-ln.foreign.joined
		return engine.ListenerEnd{Proven: r.Proven, Reason: r.Reason, Residue: r.Residue}
	}
	d.everyLoop(func(l *loop) { l.hurry(ln) })
	r := synshed.Empty(context.WithoutCancel(d.ctx), rawConn(ln.fd), d.cookies.Older())
	d.everyLoop(func(l *loop) { l.leave(ln) })
	d.everyLoop(func(*loop) {}) // Invariant: after this every accepted connection had its Accepted call.
	ln.close()
	return engine.ListenerEnd{Proven: r.Proven, Reason: r.Reason, Residue: r.Residue}
}

// Yield implements engine.Driver. Each loop leaves the socket's wait queue before it looks a
// last time: a connection that comes later wakes whoever else waits for the socket, and one
// that came before may have woken only us (EPOLLEXCLUSIVE), so it is ours to take.
func (d *Driver) Yield(index int) {
	d.mu.Lock()
	ln := d.listeners[index]
	delete(d.listeners, index)
	d.mu.Unlock()
	if ln == nil {
		return
	}
	if ln.foreign != nil {
		ln.stop()
		<-ln.foreign.joined
		return
	}
	d.everyLoop(func(l *loop) { l.yield(ln) })
	d.everyLoop(func(*loop) {}) // Invariant: after this every accepted connection had its Accepted call.
	ln.close()
}

// everyLoop runs f on each loop and waits for all of them; or until the driver is closed,
// which ends them.
func (d *Driver) everyLoop(f func(*loop)) {
	done := make(chan struct{}, len(d.loops))
	for _, l := range d.loops {
		l.post(runNote{f, done})
	}
	for range d.loops {
		select {
		case <-done:
		case <-d.gone:
			return
		}
	}
}

// stop ends the goroutine of a foreign listener.
func (ln *listener) stop() {
	if ln.foreign != nil {
		ln.foreign.stop()
	}
}

// close releases the socket, once no loop has it in its set any more.
func (ln *listener) close() {
	if ln.fd >= 0 {
		closeFD(ln.fd)
		ln.fd = -1
	}
}

// rawConn lets synshed look at a descriptor that is not package net's.
type rawConn int

// SyscallConn implements syscall.Conn.
func (fd rawConn) SyscallConn() (syscall.RawConn, error) { return fd, nil }

// Control implements syscall.RawConn.
func (fd rawConn) Control(f func(uintptr)) error {
	f(uintptr(fd))
	return nil
}

// Read implements syscall.RawConn: nobody reads a listening socket.
func (fd rawConn) Read(func(uintptr) bool) error { return errors.ErrUnsupported }

// Write implements syscall.RawConn.
func (fd rawConn) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// Back-off of accepting that finds no descriptor or no memory.
const (
	minBackOff = 5 * time.Millisecond
	maxBackOff = time.Second
)
