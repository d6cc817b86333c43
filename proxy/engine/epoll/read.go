//go:build linux

package epoll

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// read hands over what has come, piece by piece, for as long as the handler wants it and
// up to maxReads; the rest waits for the next round.
//
// The set is edge-triggered. A short read means that nothing is left: what comes later is a
// new edge. It does not where FIN or an error was announced, since those are no bytes, nor where
// urgent data were: a read ends before them.
func (l *loop) read(c *conn) {
	for range maxReads {
		if !c.readable || c.paused || c.eof || c.phase != open {
			return
		}
		if c.outOf != nil {
			l.pump(c.outOf)
			return
		}
		n, errno := recv(c.fd, l.in)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			c.readable = false
			return
		case errno != 0:
			l.end(c, netError("read", errno))
			return
		case n == 0:
			l.gotEOF(c)
			return
		}
		c.readable = n == len(l.in) || c.ending
		l.h.Received(c.id, l.in[:n])
	}
	if c.readable {
		l.touch(c)
	}
}

// gotEOF tells of the peer's FIN, if it is one.
//
// The kernel tells of a reset once. If a write took that news, the next read returns 0 as
// if a FIN had come, and a body that lasts until the close would look whole. The error of
// the write knows: Linux says EPIPE where the FIN was there before the reset (tcp_reset in
// CLOSE_WAIT), ECONNRESET where none was.
func (l *loop) gotEOF(c *conn) {
	c.readable = false
	if c.writeErr != nil && !errors.Is(c.writeErr, syscall.EPIPE) {
		l.end(c, c.writeErr)
		return
	}
	c.eof = true
	l.touch(c) // it may be the end, if our FIN went before
	l.h.EOF(c.id)
}

// discard reads on after Close, up to EOF. False: the connection is over.
func (l *loop) discard(c *conn) bool {
	for range maxReads {
		if !c.readable || c.eof {
			return true
		}
		n, errno := recv(c.fd, l.in)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			c.readable = false
			return true
		case errno != 0:
			l.end(c, netError("read", errno))
			return false
		case n == 0:
			c.readable, c.eof = false, true
			return true
		}
		c.discarded += int64(n)
		c.readable = n == len(l.in) || c.ending
	}
	if c.readable {
		l.touch(c)
	}
	return true
}

// netError has the form of package net's errors, so that errors.Is and Timeout work alike
// on every driver.
func netError(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, errno)}
}
