package balance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Route says where a client's connection went.
type Route struct {
	Backend string // empty: none was ready
	At      time.Time
	Err     error // of the dial
}

// Open begins to accept for a port of the backends and returns the address.
func (b *Balancer) Open(addr string, kind Kind) (string, error) {
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("balancer: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doors = append(b.doors, ln)
	b.running.Go(func() { // ends when the door is closed
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // out of descriptors
				b.cfg.Fault(err)
				time.Sleep(10 * time.Millisecond) // a pace for trying again
				continue
			}
			b.running.Go(func() { b.carry(c.(*net.TCPConn), kind) }) // ends with the connection
		}
	})
	return ln.Addr().String(), nil
}

// Route says where the connection from a client's address went.
func (b *Balancer) Route(client string) (Route, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.routes[client]
	return r, ok
}

// Connections are open ones by backend.
func (b *Balancer) Connections() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := make(map[string]int, len(b.backends))
	for _, be := range b.backends {
		m[be.Name] += be.open
	}
	return m
}

// Carried is how many connections a backend was given, ever.
func (b *Balancer) Carried(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, be := range b.backends {
		if be.Name == name {
			return be.sum
		}
	}
	return 0
}

func (b *Balancer) note(client string, r Route) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.routes[client] = r
}

// keep notes a connection so that Close can end it; false: it is too late.
func (b *Balancer) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.conns[c] = struct{}{}
	}
	return !b.closed
}

func (b *Balancer) release(c net.Conn) {
	_ = c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

func (b *Balancer) carry(c *net.TCPConn, kind Kind) {
	defer b.release(c)
	if !b.keep(c) {
		return
	}
	client := c.RemoteAddr().String()
	be, ok := b.pick(kind)
	if !ok {
		b.note(client, Route{At: time.Now()})
		refuse(c)
		return
	}
	defer func() {
		b.mu.Lock()
		be.open--
		b.mu.Unlock()
	}()
	u, err := net.DialTimeout("tcp", be.address(kind), b.cfg.DialTimeout)
	b.note(client, Route{Backend: be.Name, At: time.Now(), Err: err})
	if err != nil {
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, os.ErrDeadlineExceeded) {
			b.cfg.Fault(err)
		}
		refuse(c)
		return
	}
	up := u.(*net.TCPConn)
	defer b.release(up)
	if !b.keep(up) {
		return
	}
	l := &link{buffers: &b.buffers}
	var back sync.WaitGroup
	back.Go(func() { l.pass(c, up) }) // ends with the direction
	l.pass(up, c)
	back.Wait()
}

// refuse resets a client, but not before it has sent something: until then its dial may not
// have returned, and it would not know which connection it was.
func refuse(c *net.TCPConn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = c.Read(make([]byte, 1))
	_ = c.SetLinger(0)
}

// link is a pair of connections.
type link struct {
	broken  atomic.Bool
	buffers *sync.Pool
}

// pass carries one direction, and its end as what it was: a reset of one end resets the other.
func (l *link) pass(dst, src *net.TCPConn) {
	buf := l.buffers.Get().(*[]byte)
	defer l.buffers.Put(buf)
	// Not splice, which TCPConn.ReadFrom would do: it takes four more descriptors a connection.
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, *buf)
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		l.broken.Store(true)
	}
	if !l.broken.Load() {
		_ = dst.CloseWrite()
		return
	}
	for _, c := range []*net.TCPConn{dst, src} {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}
