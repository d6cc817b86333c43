package handover

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Gate is a listener from which nobody accepts while it is shut: connections wait in the
// kernel's queue, for us or for whoever else holds the socket. It is for listeners that
// answer for a whole service, such as probes, of which one process has to answer at a time.
type Gate struct {
	net.Listener
	doors *Doors
	name  string

	mu     sync.Mutex // guards what follows
	opened chan struct{}
	shut   bool
	closed chan struct{}
	once   sync.Once // of Close
}

// NewGate returns an open gate before a socket of the doors. Closing it lets go of the
// socket altogether.
func (d *Doors) NewGate(name string, ln net.Listener) *Gate {
	g := &Gate{Listener: ln, doors: d, name: name, opened: make(chan struct{}), closed: make(chan struct{})}
	close(g.opened)
	return g
}

// Accept implements net.Listener.
func (g *Gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		select {
		case <-opened:
		case <-g.closed:
			return nil, net.ErrClosed
		}
		c, err := g.Listener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue // it was shut meanwhile
		}
		return c, err
	}
}

// Shut ends accepting until Open.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return
	}
	g.shut, g.opened = true, make(chan struct{})
	g.deadline(time.Unix(1, 0)) // an accept that waits returns, without looking at the queue
}

// Open goes on accepting.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		return
	}
	g.shut = false
	g.deadline(time.Time{})
	close(g.opened)
}

func (g *Gate) deadline(at time.Time) {
	if l, ok := g.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = l.SetDeadline(at) // of a closed one: it accepts nothing anyway
	}
}

// Close implements net.Listener.
func (g *Gate) Close() error {
	g.once.Do(func() {
		close(g.closed)
		g.doors.Drop(g.name)
	})
	return g.Listener.Close()
}
