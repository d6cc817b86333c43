//go:build linux

// Package origin is the server behind every proxy of a run: one thread, epoll, no
// allocation per request, so that its own cost hides as little as possible.
//
//	GET  /any/prefix/SIZE/ID   answers SIZE bytes of package body that begin with ID
//	POST /any/prefix/SIZE/ID   reads such a body of Content-Length bytes, compares it, answers 64
//
// A GET that asks for a WebSocket gets one, on which every message comes back. On a second port it
// echoes, on a third it sends as many bytes of the pattern as the 16 hexadecimal digits that it gets
// first say, on a fourth unary calls of gRPC get their own message for an answer. Loopback only.
//
// Guarantees: a request body with one wrong byte is answered 409. Limits: only requests
// with Content-Length; a head of at most 16 KiB; it trusts its callers to be the harness.
package origin

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/bench/peers/body"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

type kind int

const (
	http kind = iota
	echo
	bulk
	grpc
	websocket // what a connection of kind http becomes
	leash     // the input whose end stops the server
)

// conn is one connection, or a listener.
type conn struct {
	fd     int
	kind   kind
	listen bool

	in     []byte // a head, or part of one, that could not be used yet
	out    []byte // what must leave first
	body   []byte // and then; a part of the pattern
	stream int64  // bytes of a bulk stream after body
	hangup bool   // close once the answer has left

	upload int // bytes of a request body still to come
	at     int // bytes of it that came
	id     body.ID
	wrong  bool // the request body is not what it must be

	calls *calls // of kind grpc
}

type server struct {
	epoll   int
	conns   []*conn // by descriptor
	pattern []byte
	scratch []byte // for reads
	compose []byte // for answers
	pool    h2.Pool
}

// Sets is how many sets of ports there are: a run goes round them, because a proxy that was
// ended leaves thousands of local ports waiting that lead to the one it was connected to.
const Sets = 8

// Serve listens on Sets times four loopback ports that the kernel chooses, writes their
// numbers to ready as one line, "HTTP ECHO BULK GRPC HTTP ECHO ...", and serves until in, a
// pipe, is written to or closed. So it never outlives the harness. It closes what it opened.
func Serve(in *os.File, ready io.Writer) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	s := &server{epoll: ep, pattern: body.Pattern(), scratch: make([]byte, 256<<10), compose: make([]byte, 0, 128<<10)}
	defer s.close()
	var ports []any
	for range Sets {
		for _, k := range []kind{http, echo, bulk, grpc} {
			port, err := s.listen(k)
			if err != nil {
				return err
			}
			ports = append(ports, port)
		}
	}
	if err := s.add(&conn{fd: int(in.Fd()), kind: leash}, unix.EPOLLIN); err != nil {
		return fmt.Errorf("watch the input: %w", err)
	}
	if _, err := fmt.Fprintln(ready, ports...); err != nil {
		return err
	}
	return s.loop()
}

func (s *server) close() {
	for _, c := range s.conns {
		if c != nil && c.kind != leash {
			_ = unix.Close(c.fd)
		}
	}
	_ = unix.Close(s.epoll)
}

// queues is how many sockets listen on a port. The kernel bounds the queue of each
// (net.core.somaxconn, often 4096), and a proxy may dial 8,000 times at once: with one
// queue, dials that found it full would come again a second later, or fail.
const queues = 4

func (s *server) listen(k kind) (port int, err error) {
	for range queues {
		if port, err = s.listenOn(k, port); err != nil {
			return 0, err
		}
	}
	return port, nil
}

// listenOn adds one socket to a port, or to one that the kernel chooses if it is 0.
func (s *server) listenOn(k kind, port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	if err := s.add(&conn{fd: fd, kind: k, listen: true}, unix.EPOLLIN); err != nil {
		return 0, fmt.Errorf("epoll_ctl: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 16384); err != nil {
		return 0, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	return name.(*unix.SockaddrInet4).Port, nil
}

func (s *server) add(c *conn, events uint32) error {
	for len(s.conns) <= c.fd {
		s.conns = append(s.conns, nil)
	}
	s.conns[c.fd] = c
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)})
}

// loop handles events. One that is stale, because its descriptor was closed and given out
// again in the same batch, does no harm: the new connection is read and would block.
func (s *server) loop() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			c := s.conns[ev.Fd]
			switch {
			case c == nil:
			case c.kind == leash:
				return nil
			case c.listen:
				s.accept(c)
			case !s.serve(c):
				s.conns[c.fd] = nil
				_ = unix.Close(c.fd)
			}
		}
	}
}

func (s *server) accept(l *conn) {
	for range 64 {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &conn{fd: fd, kind: l.kind}
		if l.kind == grpc {
			c.calls = s.newCalls()
		}
		if s.add(c, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET) != nil {
			s.conns[fd] = nil
			_ = unix.Close(fd)
		}
	}
}

// serve does everything that can be done for c now; false: close it.
func (s *server) serve(c *conn) bool {
	for {
		if blocked, ok := s.flush(c); !ok || blocked {
			return ok
		}
		if c.hangup && c.upload == 0 {
			return false
		}
		if c.kind == http && len(c.in) > 0 && c.upload == 0 { // pipelined
			rest := c.in
			c.in = nil
			if !s.input(c, rest) {
				return false
			}
			if len(c.out) > 0 {
				continue
			}
		}
		n, err := unix.Read(c.fd, s.scratch)
		switch {
		case err == unix.EAGAIN:
			return true
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return false
		}
		if !s.input(c, s.scratch[:n]) {
			return false
		}
	}
}

// input takes what came in; false: close.
func (s *server) input(c *conn, b []byte) bool {
	switch c.kind {
	case echo:
		return s.send(c, b, nil)
	case bulk:
		return s.order(c, b)
	case http:
		return s.request(c, b)
	case grpc:
		return s.frames(c, b)
	case websocket:
		return s.messages(c, b)
	case leash:
	}
	panic("BUG: origin: input of a descriptor that is no connection")
}

// send writes b, of which nothing is kept but a copy, and then rest, which stays as it is.
func (s *server) send(c *conn, b, rest []byte) bool {
	n, err := unix.Write(c.fd, b)
	if err != nil && err != unix.EAGAIN {
		return false
	}
	c.out = append(c.out[:0], b[max(n, 0):]...)
	c.body = rest
	return true
}

// flush sends what is queued; blocked says that the kernel took no more.
func (s *server) flush(c *conn) (blocked, ok bool) {
	for {
		next := &c.out
		if len(c.out) == 0 {
			if len(c.body) == 0 && c.stream > 0 {
				c.body = s.pattern[:min(c.stream, body.Max)]
				c.stream -= int64(len(c.body))
			}
			next = &c.body
		}
		if len(*next) == 0 {
			return false, true
		}
		n, err := unix.Write(c.fd, *next)
		if err == unix.EAGAIN {
			return true, true
		}
		if err != nil {
			return false, false
		}
		*next = (*next)[n:]
	}
}
