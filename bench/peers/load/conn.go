//go:build linux

package load

import (
	"crypto/tls"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/bench/peers/body"
)

// dialing bounds how many connections are in the making at once: no queue overflows.
const dialing = 128

// step of a connection. Edges: connecting -> ready -> head -> content -> ready (keep-alive)
// or goodbye; connecting -> content for raw modes; goodbye ends it.
type step int

const (
	connecting step = iota
	ready
	head    // waits for a response head, or the rest of it
	content // waits for a body, an echo or a stream
	goodbye // waits for the proxy's FIN
)

type conn struct {
	fd    int
	tls   *tls.Conn // nil: none
	step  step
	since time.Time
	id    body.ID
	out   []byte // request bytes that did not leave yet
	rest  []byte // and after these, a part of the pattern
	part  []byte // a head that came in part
	at    int64  // bytes of content that came
	want  int64  // of these
	open  bool   // the WebSocket is
}

// dialSome makes connections while there are some to make.
func (c *client) dialSome() {
	for c.pending > 0 && c.making < dialing && c.result.Errors <= int64(c.Conns) {
		c.pending--
		if err := c.dial(); err != nil {
			c.fail(fmt.Errorf("connect: %w", err))
			return
		}
	}
}

// dial begins a connection, from one of a few source addresses: one alone has too few
// ports for a connection per request.
func (c *client) dial() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	c.source = c.source%8 + 1
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, c.source}}); err != nil {
		_ = unix.Close(fd)
		return err
	}
	if err := unix.Connect(fd, &c.to); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return err
	}
	for len(c.conns) <= fd {
		c.conns = append(c.conns, nil)
	}
	k := &conn{fd: fd, since: time.Now()}
	c.conns[fd] = k
	c.making++
	c.busy++
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)})
}

// handle does all that can be done for k now.
func (c *client) handle(k *conn) {
	if k.step == connecting {
		if errno, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || errno != 0 {
			c.drop(k, fmt.Errorf("connect: %w", unix.Errno(errno)))
			return
		}
		if _, err := unix.Getpeername(k.fd); err != nil {
			return // an early event: not connected yet
		}
		c.making--
		c.busy-- // begin counts it again
		k.step = ready
		if c.Wire == TLS {
			if err := k.seal(); err != nil {
				c.drop(k, fmt.Errorf("handshake: %w", err))
				return
			}
		}
		if c.Mode == Paced && c.phase == measuring {
			c.next(k)
		} else {
			c.begin(k, k.since)
		}
		if c.conns[k.fd] != k {
			return
		}
	}
	if !c.flush(k) {
		return
	}
	for c.conns[k.fd] == k {
		n, err := k.read(c.scratch)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			c.drop(k, fmt.Errorf("read: %w", err))
			return
		case n == 0:
			c.ended(k)
			return
		}
		if c.receive(k, c.scratch[:n]); n < len(c.scratch) && k.step != goodbye && c.Mode != Bulk && k.tls == nil {
			return // drained; a FIN comes as an event of its own
		}
	}
}

// begin sends a request whose latency counts from since.
func (c *client) begin(k *conn, since time.Time) {
	c.busy++
	c.nextID++
	k.id, k.since, k.at, k.step = body.NewID(c.nextID), since, 0, head
	b := c.compose[:0]
	switch c.Mode {
	case Bulk:
		k.step, k.want = content, int64(1)<<40 // ended by us
		order := body.NewID(uint64(k.want))
		b = append(b, order[:]...)
	case Echo:
		k.step, k.want = content, int64(c.Size)
		b = append(append(b, k.id[:]...), c.pattern[body.IDLen:c.Size]...)
	default:
		if k.open {
			b = c.message(b, k)
		} else {
			b = c.request(b, k)
		}
	}
	c.compose = b
	n, err := k.write(b)
	if err != nil && err != unix.EAGAIN {
		c.drop(k, fmt.Errorf("write: %w", err))
		return
	}
	k.out = append(k.out[:0], b[max(n, 0):]...)
	c.flush(k)
}

// flush sends what is queued; false: the connection is gone.
func (c *client) flush(k *conn) bool {
	for len(k.out)+len(k.rest) > 0 {
		next := &k.out
		if len(k.out) == 0 {
			next = &k.rest
		}
		n, err := k.write(*next)
		if err == unix.EAGAIN {
			return true
		}
		if err != nil {
			c.drop(k, fmt.Errorf("write: %w", err))
			return false
		}
		*next = (*next)[n:]
	}
	return true
}

// ended handles the proxy's FIN.
func (c *client) ended(k *conn) {
	switch {
	case k.step == goodbye:
		c.finished(k)
		c.forget(k)
	case k.step == ready && c.phase == resting:
		c.forget(k) // an idle connection may be closed
	case k.step == ready:
		c.forget(k)
		c.pending++ // between two requests: allowed, and not lost
	default:
		c.drop(k, fmt.Errorf("the connection ended in the middle of a response (step %d, %d of %d bytes)", k.step, k.at, k.want))
	}
}

// forget closes k. It must not be counted busy any more.
func (c *client) forget(k *conn) {
	for i, f := range c.free {
		if f == k {
			c.free = append(c.free[:i:i], c.free[i+1:]...)
			break
		}
	}
	c.conns[k.fd] = nil
	_ = unix.Close(k.fd)
}

// drop ends a connection on which something went wrong.
func (c *client) drop(k *conn, err error) {
	c.fail(err)
	if k.step == connecting {
		c.making--
	}
	if k.step != ready {
		c.busy--
	}
	k.step = ready
	c.forget(k)
	if c.phase != resting {
		c.pending++
	}
}

func (c *client) fail(err error) {
	c.result.Errors++
	if c.result.Failure == "" {
		c.result.Failure = err.Error()
	}
}
