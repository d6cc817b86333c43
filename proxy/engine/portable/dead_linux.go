package portable

import (
	"net"

	"golang.org/x/sys/unix"
)

// tcpClose is TCP_CLOSE of the kernel's tcp_states.h.
const tcpClose = 7

// dead reports whether the kernel has given a connection up: no byte goes either way
// any more. A FIN alone does not do that.
func dead(nc net.Conn) bool {
	raw := rawConn(nc)
	if raw == nil {
		return false
	}
	closed := false
	err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State == tcpClose
	})
	return err == nil && closed
}
