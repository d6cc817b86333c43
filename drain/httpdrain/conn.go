package httpdrain

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// listener tracks each connection before anybody else sees it.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, s: l.s, over: make(chan struct{})}
		peer, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
		// Accept is the accept loop: it is joined before the tracker drains, so this is
		// refused only by a server that was never opened.
		c.handle, err = l.s.tracker.Track(drain.Meta{Listener: l.Addr().String(), Protocol: "http", Peer: peer}, c.evict)
		if err != nil {
			nc.Close()
			continue
		}
		return c, nil
	}
}

// conn is a connection of the http.Server with its handle.
type conn struct {
	net.Conn
	s      *Server
	handle *drain.Conn
	cancel context.CancelCauseFunc
	over   chan struct{} // closed by finish

	told     atomic.Bool            // a response said goodbye
	failed   atomic.Bool            // a read or a write broke
	left     atomic.Bool            // the client's FIN came
	handlers atomic.Int32           // that run
	h2       atomic.Pointer[h2Conn] // nil: HTTP/1, or HTTP/2 that is not ours

	mu       sync.Mutex // guards what follows
	secure   bool       // under TLS
	used     bool       // there was a request: until then, bytes under TLS may be of the handshake
	idle     bool       // between two requests, and no byte of the next has come
	hijacked bool
	evicted  evicted
	deadline time.Time // for reading, as net/http wants it
	done     bool      // the handle is given back
}

// evicted is how far the tracker went with a connection. It only grows, but for a request
// that came in the last moment.
type evicted uint8

const (
	notEvicted evicted = iota
	asIdle             // the read that waits is broken off
	wasIdle            // FIN is sent
	wasCut
)

// context is that of the requests of this connection: it ends at the deadline of the drain.
func (c *conn) context(ctx context.Context) context.Context {
	ctx, c.cancel = context.WithCancelCause(ctx)
	return context.WithValue(ctx, connKey{}, c)
}

type connKey struct{}

// became follows the states of net/http. One goroutine at a time calls it.
func (c *conn) became(to http.ConnState, secure bool) {
	if h := c.h2.Load(); h != nil && !h.begun() && to != http.StateClosed {
		return // the HTTP/2 server says active and idle before anything has come
	}
	switch to {
	case http.StateNew:
		c.mu.Lock()
		c.idle, c.secure = true, secure
		c.mu.Unlock()
	case http.StateActive:
		c.mu.Lock()
		c.idle, c.used = false, true
		c.mu.Unlock()
		c.handle.Active()
	case http.StateIdle:
		c.handle.Idle()
		c.setIdle(true)
	case http.StateHijacked:
		c.mu.Lock()
		c.hijacked, c.idle = true, false
		c.mu.Unlock()
		c.handle.Tunnel()
	case http.StateClosed:
		c.finish()
	}
}

func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	c.idle = idle
	c.mu.Unlock()
}

// stirred: bytes came, so the connection is not idle, whatever net/http says: it calls it
// active only once it has a whole head. A close that was under way is called off.
func (c *conn) stirred() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = c.idle && c.secure && !c.used
	if c.evicted == asIdle {
		c.evicted = notEvicted
		_ = c.Conn.SetReadDeadline(c.deadline)
	}
}

// evict is called by the tracker; it does not block.
func (c *conn) evict(cause drain.Cause) {
	if cause == drain.CauseFarewell {
		return // what a hijacked connection speaks is not known here
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cause == drain.CauseIdle {
		c.parting()
		return
	}
	if c.evicted != wasCut {
		c.evicted = wasCut
		c.s.running.Go(c.cut) // ends with the connection, or after cutGrace
	}
}

// partEnded closes an HTTP/2 connection on which everything is answered and nothing more can
// begin.
func (c *conn) partEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.evicted == notEvicted {
		c.evicted = wasIdle
		_ = c.Conn.SetReadDeadline(time.Now())
	}
}

// parting begins the close of an idle connection. Call with mu held.
func (c *conn) parting() {
	idle := c.idle
	if h := c.h2.Load(); h != nil { // net/http learns of a stream later than we do
		idle = h.under.Load() == 0
	}
	if idle && c.evicted == notEvicted {
		c.evicted = asIdle
		_ = c.Conn.SetReadDeadline(time.Now()) // wakes the read that waits
	}
}

// cutGrace is how long a request has between the end of its context and the end of its
// connection. It is less than what the tracker waits (drain.DefaultSettle).
const cutGrace = 100 * time.Millisecond

func (c *conn) cut() {
	c.mu.Lock()
	idle, hijacked := c.idle, c.hijacked
	c.mu.Unlock()
	if c.cancel != nil {
		c.cancel(ErrCut)
	}
	if !idle && !hijacked { // the handler may still say something
		grace := time.NewTimer(cutGrace)
		defer grace.Stop()
		select {
		case <-c.over:
			return
		case <-grace.C:
		}
	}
	if hijacked {
		c.Close()
		return
	}
	c.noteUnsent()
	_ = c.Conn.Close()
}

// partsAsIdle ends an idle connection in good order: one last look for a request, then FIN,
// then read on to the client's FIN. True: a request came first.
func (c *conn) partsAsIdle() (stays bool) {
	c.mu.Lock()
	if c.evicted != asIdle {
		c.mu.Unlock()
		return false
	}
	// A read whose deadline has passed does not look at what is there. This one does.
	_ = c.Conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	c.mu.Unlock()
	if raw, ok := c.Conn.(*net.TCPConn); ok && pending(raw) {
		return true
	}
	c.mu.Lock()
	c.evicted = wasIdle
	secure := c.secure
	c.mu.Unlock()
	if !secure { // TLS says goodbye by itself when net/http closes
		c.part()
	}
	return false
}

func (c *conn) hasParted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evicted == wasIdle
}

// part sends FIN and reads on to the client's, for Linger at most. What comes meanwhile is
// lost: a request that crossed.
func (c *conn) part() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || c.s.cfg.Linger <= 0 || half.CloseWrite() != nil {
		return
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.s.cfg.Linger))
	if n, _ := io.Copy(io.Discard, readOnly{c.Conn}); n > 0 {
		c.handle.Crossed()
	}
}

// finish gives the handle back, once.
func (c *conn) finish() {
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return
	}
	c.done = true
	e := c.evicted
	c.mu.Unlock()
	if c.cancel != nil {
		c.cancel(nil)
	}
	c.handle.Done(c.outcome(e))
	close(c.over)
}

func (c *conn) outcome(e evicted) drain.Outcome {
	active := c.handle.Class() == drain.Active
	whole := c.handlers.Load() == 0 && !c.failed.Load()
	switch {
	case e == wasCut && !(active && whole):
		return drain.Cut
	case e == wasIdle:
		if h := c.h2.Load(); h != nil && h.ended() {
			return drain.Completed
		}
		return drain.IdleClosed
	case !whole:
		return drain.Errored
	case active, c.handle.Class() == drain.Tunnel:
		return drain.Completed
	case c.left.Load():
		return drain.ClientClosed
	}
	return drain.IdleClosed
}
