//go:build linux

package epoll

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Dial implements engine.Shard. An address is dialed on the loop; a name, or an address with a
// zone, on a goroutine by package net, which knows how.
func (l *loop) Dial(addr string, timeout time.Duration) engine.ConnID {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	c := l.alloc(dialing, -1)
	if l.closing {
		l.end(c, net.ErrClosed)
		c.undialed = false // Closed tells, as for every other connection
		return c.id
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || ap.Addr().Zone() != "" {
		ctx, cancel := context.WithTimeout(l.d.ctx, timeout)
		l.dials[c.id] = cancel
		l.d.wg.Add(1)
		go l.dialName(ctx, c.id, addr) // ends with the timeout at the latest
		return c.id
	}
	if err := l.connect(c, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())); err != nil {
		l.end(c, err)
		return c.id
	}
	l.arm(c, timerPhase, timeout)
	return c.id
}

// stopDial ends the goroutine that dials a name for c, if there is one.
func (l *loop) stopDial(c *conn) {
	if cancel := l.dials[c.id]; cancel != nil {
		delete(l.dials, c.id)
		cancel()
	}
}

// connect begins a connection. The answer is an event: even loopback says EINPROGRESS.
func (l *loop) connect(c *conn, to netip.AddrPort) error {
	var sa unix.RawSockaddrAny
	family, size := rawSockaddr(&sa, to)
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return netError("socket", errno)
	}
	c.fd = int(fd)
	c.maySelf = to.Addr().IsLoopback() && to.Port() >= lowestEphemeral
	setStreamOptions(c.fd)
	_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), uintptr(size))
	if errno != 0 && errno != syscall.EINPROGRESS && errno != syscall.EINTR {
		return netError("connect", errno)
	}
	if err := l.watch(c); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// connected: the kernel says how a connect ended.
func (l *loop) connected(c *conn, events uint32) {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		errno := pendingError(c.fd)
		if errno == 0 {
			errno = syscall.ECONNABORTED
		}
		l.end(c, netError("connect", errno))
		return
	}
	if events&unix.EPOLLOUT == 0 {
		return
	}
	if c.maySelf && selfConnected(c.fd) {
		l.end(c, netError("connect", syscall.ECONNREFUSED))
		return
	}
	l.opened(c)
}

// lowestEphemeral is the lowest port that Linux gives out for outgoing connections, unless
// told otherwise (net.ipv4.ip_local_port_range).
const lowestEphemeral = 32768

// selfConnected: with nobody listening, a connect to a port that the kernel also gives out for
// outgoing connections may meet itself (simultaneous open, RFC 9293 section 3.5).
func selfConnected(fd int) bool {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return false
	}
	peer := addrPort(&sa)
	return peer == localAddr(fd)
}

// opened makes a dialed connection one like the others.
func (l *loop) opened(c *conn) {
	c.timers.Disarm(int(timerPhase))
	c.phase = open
	l.h.Dialed(c.id, nil)
	l.touch(c)
}

// dialedNote brings the outcome of dialName to the loop.
type dialedNote struct {
	id  engine.ConnID
	fd  int // -1 with err
	err error
}

func (n dialedNote) release() {
	if n.fd >= 0 {
		closeFD(n.fd)
	}
}

func (l *loop) dialName(ctx context.Context, id engine.ConnID, addr string) {
	defer l.d.wg.Done()
	n := dialedNote{id: id, fd: -1}
	nc, err := (&net.Dialer{KeepAlive: time.Minute}).DialContext(ctx, "tcp", addr)
	if err == nil {
		n.fd, err = duplicate(nc.(*net.TCPConn))
		nc.Close() // the duplicate is what stays
	}
	n.err = err
	if !l.post(n) {
		n.release()
	}
}

func (l *loop) nameDialed(n dialedNote) {
	c := l.conn(n.id)
	if c == nil || c.phase != dialing {
		n.release()
		return
	}
	l.stopDial(c)
	if n.err != nil {
		l.end(c, n.err)
		return
	}
	c.fd = n.fd
	if err := l.watch(c); err != nil {
		l.end(c, os.NewSyscallError("epoll_ctl", err))
		return
	}
	l.opened(c)
}
