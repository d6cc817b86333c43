//go:build unix

package portable

import (
	"net"
	"os"
	"syscall"
)

// pendingError takes the error that the kernel has for a connection (SO_ERROR): a
// reset that came when nobody was reading any more.
func pendingError(nc net.Conn) error {
	raw := rawConn(nc)
	if raw == nil {
		return nil
	}
	var code int
	var inner error
	err := raw.Control(func(fd uintptr) {
		code, inner = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	})
	if err != nil || inner != nil || code == 0 {
		return nil
	}
	return &net.OpError{Op: "flush", Net: "tcp", Err: os.NewSyscallError("getsockopt", syscall.Errno(code))}
}
