package portable

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// listener is one accept loop. Owned by Driver; joined by Unlisten and Close.
type listener struct {
	ln     net.Listener
	index  int
	hurry  chan struct{} // closed by Unlisten, which comes once: accept must not be late any more
	stop   chan struct{} // closed once, by close: ends a back-off
	joined chan struct{} // closed by the accept loop when it returns
	once   sync.Once
}

func (l *listener) close() {
	l.once.Do(func() { close(l.stop) })
	l.ln.Close()
}

// Listen implements engine.Driver.
func (d *Driver) Listen(index int, ln net.Listener) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	if d.listeners[index] != nil {
		return errors.New("portable: listener index in use")
	}
	l := &listener{ln: ln, index: index, hurry: make(chan struct{}), stop: make(chan struct{}), joined: make(chan struct{})}
	d.listeners[index] = l
	d.wg.Add(1)
	go d.accept(l) // ends when the listener is closed; joined through l.joined
	return nil
}

// Unlisten implements engine.Driver. The accept loop runs on while the listener is
// being closed: that is what empties the queue.
func (d *Driver) Unlisten(index int) engine.ListenerEnd {
	d.mu.Lock()
	l := d.listeners[index]
	delete(d.listeners, index)
	d.mu.Unlock()
	if l == nil {
		return engine.ListenerEnd{Proven: true}
	}
	close(l.hurry)
	end := d.cfg.CloseListener(l.ln)
	l.close()
	<-l.joined // Invariant: after this every accepted connection had its Accepted call.
	return end
}

// Yield implements engine.Driver. Closing our descriptor ends an accept that waits; one that
// has a connection already returns it first.
func (d *Driver) Yield(index int) {
	d.mu.Lock()
	l := d.listeners[index]
	delete(d.listeners, index)
	d.mu.Unlock()
	if l == nil {
		return
	}
	l.close()
	<-l.joined // Invariant: after this every accepted connection had its Accepted call.
}

// accept takes connections until the listener is closed. An accept that fails for
// want of descriptors or memory is tried again with back-off: giving up would lose
// the listener.
func (d *Driver) accept(l *listener) {
	defer d.wg.Done()
	defer close(l.joined)
	var delay time.Duration
	for {
		nc, err := l.ln.Accept()
		switch {
		case err == nil:
			delay = 0
			d.leastLoaded().accepted(nc, l.index)
			continue
		case errors.Is(err, net.ErrClosed), d.ctx.Err() != nil:
			return
		}
		if d.cfg.AcceptError != nil {
			d.cfg.AcceptError(l.index, err)
		}
		delay = min(max(2*delay, minBackOff), maxBackOff)
		if !l.backOff(d.ctx, delay) {
			return
		}
	}
}

// Back-off of an accept loop that finds no descriptor or no memory.
const (
	minBackOff = 5 * time.Millisecond
	maxBackOff = time.Second
)

// backOff waits for delay; false if the listener or the driver was closed. Once
// Unlisten has begun it waits minBackOff only: what is queued would be reset.
func (l *listener) backOff(ctx context.Context, delay time.Duration) bool {
	t := time.NewTimer(delay)
	defer t.Stop()
	hurry := l.hurry
	for {
		select {
		case <-t.C:
			return true
		case <-hurry:
			hurry = nil
			t.Reset(min(delay, minBackOff))
		case <-l.stop:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (d *Driver) leastLoaded() *shard {
	best := d.shards[0]
	for _, s := range d.shards[1:] {
		if s.load.Load() < best.load.Load() {
			best = s
		}
	}
	return best
}

// accepted registers a connection and starts its goroutines, unless the handler
// closed it within the call.
func (s *shard) accepted(nc net.Conn, index int) {
	s.enter()
	defer s.leave()
	if s.closed {
		nc.Close()
		return
	}
	c := s.alloc()
	c.nc = nc
	s.h.Accepted(c.id, index, engine.Peer{Remote: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr())})
	s.run(c)
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
