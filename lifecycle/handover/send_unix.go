//go:build unix

package handover

import (
	"net"

	"golang.org/x/sys/unix"
)

// sendNotice sends one notification. A name that begins with @ is an abstract socket.
func sendNotice(target, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: target, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(message))
	return err
}

// sendDescriptor sends a notification with a descriptor, which stays the caller's.
func sendDescriptor(target, message string, fd int) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: target, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(p uintptr) { inner = unix.Sendmsg(int(p), []byte(message), unix.UnixRights(fd), nil, 0) }); err != nil {
		return err
	}
	return inner
}
