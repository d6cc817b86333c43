//go:build unix

package handover

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate is a descriptor of our own for a listener. It is never made an os.File: that
// might make the socket blocking, for every process that holds it.
func duplicate(ln net.Listener) (int, error) {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return -1, errNoSocket
	}
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

func closeFD(fd int) { _ = unix.Close(fd) }

// listenerOf makes a listener of a descriptor that stays the caller's. os.NewFile leaves
// the flags of a socket as they are, and net.FileListener only ever makes it non-blocking.
func listenerOf(fd int, name string) (net.Listener, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return adoptListener(own, name)
}

// adoptFile makes a file of a descriptor that was passed. Non-blocking, so that a close
// ends a read, and so that os.NewFile leaves the flag alone.
func adoptFile(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true) // one that is no descriptor shows when it is used
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

// adoptListener makes a listener of a descriptor and closes that.
func adoptListener(fd int, name string) (net.Listener, error) {
	f := adoptFile(fd, name)
	if f == nil {
		return nil, unix.EBADF
	}
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // whoever owns the path says when
	}
	return ln, nil
}
