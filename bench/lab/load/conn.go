package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// conn is a client's connection, without the retries of a library.
type conn struct {
	net.Conn
	in     *bufio.Reader
	opened time.Time
	local  string
	uses   int
	got    int64 // bytes read since the exchange began; owned by the exchange
	gen    *Generator
	once   sync.Once
}

// Read counts what came.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.got += int64(n)
	return n, err
}

// Close may be called again.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		err = c.Conn.Close()
		c.gen.open.Add(-1)
	})
	return err
}

func (g *Generator) dial(ctx context.Context, addr string) (*conn, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Patience)
	defer cancel()
	nc, err := g.cfg.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	g.open.Add(1)
	c := &conn{Conn: nc, opened: time.Now(), local: nc.LocalAddr().String(), gen: g}
	c.in = bufio.NewReaderSize(c, 4<<10)
	return c, nil
}

// begin takes a connection for an exchange.
func (c *conn) begin(patience time.Duration) record.Conn {
	c.uses++
	c.got = 0
	_ = c.SetDeadline(time.Now().Add(patience))
	return record.Conn{Local: c.local, Opened: c.opened, Uses: c.uses}
}

// cause says what an error of an exchange on c means.
func (c *conn) cause(err error) record.Cause {
	none := c.got == 0
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return record.Timeout
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		if none {
			return record.ResetBefore
		}
		return record.ResetMid
	case none:
		return record.ClosedBefore
	}
	return record.Truncated
}

// dialCause says what an error of a dial means.
func dialCause(err error) record.Cause {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) { // nothing was sent
		return record.Refused
	}
	return record.Timeout
}

// ours says that a dial failed for want of something of this machine.
func ours(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// failure is how an exchange failed.
type failure struct {
	cause record.Cause
	err   error
}

func (f *failure) Error() string { return fmt.Sprintf("%v: %v", f.cause, f.err) }

func fail(cause record.Cause, format string, args ...any) error {
	return &failure{cause, fmt.Errorf(format, args...)}
}

// pool keeps connections between exchanges.
type pool struct {
	fifo bool // in turns, so that all stay in use; otherwise the one used last

	mu     sync.Mutex // guards what follows
	idle   []*conn
	closed bool
}

// take is a connection that nobody has closed as far as we can see; nil: there is none.
func (p *pool) take() *conn {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		i := n - 1
		if p.fifo {
			i = 0
		}
		c := p.idle[i]
		p.idle = append(p.idle[:i], p.idle[i+1:]...)
		p.mu.Unlock()
		if c.in.Buffered() == 0 && alive(c.Conn) {
			return c
		}
		_ = c.Close()
	}
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
}

// closeWrite ends our direction.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return io.ErrClosedPipe
}
