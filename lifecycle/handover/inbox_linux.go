package handover

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxNotice bounds a notification, in bytes: a report names sockets, of which there are few.
const maxNotice = 64 << 10

// inbox is the NOTIFY_SOCKET of a successor: an abstract unix socket, because the file
// system may be read-only, on which the kernel says who sends.
type inbox struct {
	conn *net.UnixConn
	name string
}

func newInbox() (*inbox, error) {
	name := "@sluice-notify-" + rand.Text()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("make a notify socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var inner error
		if err = raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err == nil {
			err = inner
		}
	}
	if err != nil {
		conn.Close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return &inbox{conn, name}, nil
}

// read returns the next notification of the process pid: nobody else's counts. After close
// it returns net.ErrClosed. What makes no sense is an error that leaves the inbox usable.
func (i *inbox) read(pid int) (notice, error) {
	text, oob := make([]byte, maxNotice), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, _, _, err := i.conn.ReadMsgUnix(text, oob)
		if err != nil {
			return notice{}, err
		}
		if sender(oob[:oobn]) == pid {
			return parseNotice(string(text[:n]))
		}
	}
}

// sender is the process that sent a message; 0: not known.
func sender(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return int(cred.Pid)
		}
	}
	return 0
}

func (i *inbox) close() {
	if i != nil {
		i.conn.Close()
	}
}

// lastWords is how long after the end of a process its messages are still read: they are
// in the queue by then.
const lastWords = 20 * time.Millisecond

// last ends the inbox once what is queued was read.
func (i *inbox) last() { _ = i.conn.SetReadDeadline(time.Now().Add(lastWords)) }

// ended reports whether an error of read is the end of the inbox.
func ended(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}
