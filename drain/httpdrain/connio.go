package httpdrain

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/internal/synshed"
)

// What net/http does with a connection, and hijackers.

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n > 0 {
			c.handle.Bytes(int64(n), 0)
			c.stirred()
			return n, err
		}
		switch {
		case err == io.EOF:
			c.left.Store(true)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if c.partsAsIdle() {
				continue // a request came in the last moment
			}
		case err != nil:
			c.failed.Store(true)
		}
		if err != nil && c.hasParted() {
			err = io.EOF
		}
		return n, err
	}
}

// readOnly hides what else a connection can do from io.Copy.
type readOnly struct{ io.Reader }

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.wrote(int64(n), err)
	return n, err
}

// ReadFrom keeps sendfile and splice, which net/http uses where it can.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.Conn, r)
	c.wrote(n, err)
	return n, err
}

func (c *conn) wrote(n int64, err error) {
	c.handle.Bytes(0, n)
	if err != nil {
		c.failed.Store(true)
	}
}

// SetReadDeadline implements net.Conn. A close that is under way keeps its own.
func (c *conn) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = at
	if c.evicted == asIdle || c.evicted == wasIdle {
		return nil
	}
	return c.Conn.SetReadDeadline(at)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.Conn.SetWriteDeadline(at))
}

// CloseWrite is what a hijacker may want.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements net.Conn. Whoever was told to leave gets FIN first and the time to read
// the response: a reset, for what it sent meanwhile, could overtake it.
func (c *conn) Close() error {
	c.mu.Lock()
	polite, hijacked := c.told.Load() && c.evicted == notEvicted && !c.failed.Load(), c.hijacked
	c.mu.Unlock()
	if polite {
		c.part()
	}
	c.noteUnsent()
	err := c.Conn.Close()
	if hijacked {
		c.finish()
	}
	return err
}

// noteUnsent says what the client's kernel has not confirmed, while that can be asked.
func (c *conn) noteUnsent() {
	raw, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return
	}
	if n, err := synshed.OutQueue(rc); err == nil {
		c.handle.Unsent(int64(n))
	}
}
