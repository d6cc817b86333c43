//go:build unix

package enginetest

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// deafAddr is an address where SYNs are dropped: a listener whose backlog is full
// and which nobody accepts from.
func deafAddr(t *testing.T) string {
	t.Helper()
	ln := listen(t).(*net.TCPListener)
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = syscall.Listen(int(fd), 0) }); err != nil || inner != nil {
		t.Fatal(err, inner)
	}
	for { // until the queue is seen to be full: the kernel counts a little late
		nc, err := net.DialTimeout("tcp", ln.Addr().String(), 50*time.Millisecond)
		if err != nil {
			return ln.Addr().String()
		}
		t.Cleanup(func() { nc.Close() })
	}
}

// duplicate is a second descriptor of a socket; nil if there is none to be had.
func duplicate(fd uintptr) *os.File {
	d, err := syscall.Dup(int(fd))
	if err != nil {
		return nil
	}
	syscall.CloseOnExec(d)
	return os.NewFile(uintptr(d), "duplicate")
}
