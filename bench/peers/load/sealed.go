//go:build linux

package load

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sealed is a socket as crypto/tls has it. During the handshake, which is not measured, its calls wait; afterwards a
// read that finds nothing says so by an error that crypto/tls does not remember.
type sealed struct {
	fd    int
	waits bool
}

// seal makes the connection one of TLS.
func (k *conn) seal() error {
	s := &sealed{fd: k.fd, waits: true}
	k.tls = tls.Client(s, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, // the proxy's certificate is made for the run
		CurvePreferences: sameCurve})
	err := k.tls.Handshake()
	s.waits = false
	return err
}

// read reads what has come; 0: the end.
func (k *conn) read(b []byte) (int, error) {
	if k.tls == nil {
		return unix.Read(k.fd, b)
	}
	n, err := k.tls.Read(b)
	switch {
	case n > 0, err == io.EOF:
		return n, nil
	case err == error(nothingYet{}):
		return 0, unix.EAGAIN
	}
	return 0, err
}

// write sends what the kernel takes; all of it over TLS, whose records are not sealed twice.
func (k *conn) write(b []byte) (int, error) {
	if k.tls == nil {
		return unix.Write(k.fd, b)
	}
	return k.tls.Write(b)
}

// await waits until the socket is ready for what is asked.
func (s *sealed) await(events int16) error {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: events}}, int(patience/time.Millisecond))
	if err == nil && n == 0 {
		return os.ErrDeadlineExceeded
	}
	if err == unix.EINTR {
		return nil
	}
	return err
}

// Read implements net.Conn.
func (s *sealed) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && s.waits:
			if err := s.await(unix.POLLIN); err != nil {
				return 0, err
			}
		case err == unix.EAGAIN:
			return 0, nothingYet{}
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements net.Conn.
func (s *sealed) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(s.fd, b[done:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := s.await(unix.POLLOUT); err != nil {
				return done, err
			}
		case err != nil:
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

// Close and what follows implement net.Conn: the client closes the socket, and has its own deadlines.
func (s *sealed) Close() error                     { return nil }
func (s *sealed) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *sealed) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *sealed) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (s *sealed) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (s *sealed) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// nothingYet is a net.Error.
type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing has come" }
func (nothingYet) Timeout() bool   { return false }
func (nothingYet) Temporary() bool { return true }
