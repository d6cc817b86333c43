package admin

import (
	"net"
	"syscall"

	sys "golang.org/x/sys/unix"
)

// ours lets only processes of our own user, and of root, connect: an abstract socket has
// no permissions, its name is seen by everybody, and a stranger who may not ask for
// anything could still fill its places.
type ours struct{ net.Listener }

// Accept implements net.Listener.
func (l ours) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || sameUser(c) {
			return c, err
		}
		_ = c.Close()
	}
}

func sameUser(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	allowed := false
	err = raw.Control(func(fd uintptr) {
		peer, err := sys.GetsockoptUcred(int(fd), sys.SOL_SOCKET, sys.SO_PEERCRED)
		allowed = err == nil && (peer.Uid == 0 || peer.Uid == uint32(sys.Getuid()))
	})
	return err == nil && allowed
}
