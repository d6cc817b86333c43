package portable

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

// errReset is the end of a connection that Abort cut.
var errReset = errors.New("reset by us")

// conn is one connection: a reader and a writer goroutine, whatever they share
// guarded by the shard's mu.
type conn struct {
	s  *shard
	id engine.ConnID
	nc net.Conn // set before run

	readable sync.Cond // L is s.mu: paused or closing changed
	writable sync.Cond // L is s.mu: out, finSent or closing changed
	timers   [engine.NumTimers]wheel.Node

	cancelDial context.CancelFunc // while dialing

	paused   bool
	more     bool  // the last read was full: there may be more behind it
	eof      bool  // the reader saw the FIN
	broken   error // the connection is of no use any more
	writeErr error // only the write side is broken: what the peer sent before may still be read

	out      []byte // queued by Send
	doubting bool   // the reader waits in sureOfEOF for the write under way
	writing  int    // bytes the writer has in its hands
	lost     int64  // bytes of Send that will never leave, or whose arrival nobody will confirm
	finSent  bool   // CloseWrite was asked for
	fin      bool   // it is in the kernel

	closing   bool
	asked     bool // closing, by the handler and not by Driver.Close: it must not send
	linger    time.Duration
	discarded int64
	running   int // goroutines left: the last one reports Closed
}

func newConn(s *shard, id engine.ConnID) *conn {
	c := &conn{s: s, id: id}
	c.readable.L, c.writable.L = &s.mu, &s.mu
	for i := range c.timers {
		c.timers[i].Owner, c.timers[i].Kind = c, uint8(i)
	}
	return c
}

// run starts the goroutines. Called once, under mu, after the handler saw the connection.
func (s *shard) run(c *conn) {
	c.running = 2
	s.d.wg.Add(2)
	go c.read()  // ends at EOF, error or close
	go c.write() // ends at close, error, or after FIN once the peer's FIN came
}

// close begins the good end: the writer flushes and sends FIN, the reader discards.
func (c *conn) close(linger time.Duration) {
	c.closing, c.linger = true, linger
	c.disarm()
	if c.cancelDial != nil {
		c.cancelDial()
		return
	}
	if c.nc != nil {
		// Bounds the flush, a read in progress, and the read to EOF.
		_ = c.nc.SetDeadline(time.Now().Add(max(linger, time.Millisecond)))
	}
	c.readable.Signal()
	c.writable.Signal()
}

func (c *conn) disarm() {
	for i := range c.timers {
		c.s.timers.Disarm(&c.timers[i])
	}
}

// abort resets. What is left is reported as unsent.
func (c *conn) abort() {
	c.closing = true
	c.disarm()
	if c.cancelDial != nil {
		c.broken = errReset
		c.cancelDial()
		return
	}
	c.resetOnClose()
	c.fail(errReset)
}

// fail ends both halves: the connection is of no use. The first reason stands.
func (c *conn) fail(err error) {
	if c.broken == nil {
		c.broken = err
		c.lost += c.unconfirmed() // the kernel forgets with the descriptor
	}
	c.nc.Close()
	c.readable.Signal()
	c.writable.Signal()
}

// resetOnClose makes the release an RST instead of a FIN.
func (c *conn) resetOnClose() {
	if t, ok := c.nc.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
}

// unconfirmed is how many bytes the peer's kernel has not acknowledged.
func (c *conn) unconfirmed() int64 {
	n := outQueue(c.nc)
	if c.fin && n > 0 {
		n-- // the FIN, which the kernel counts too
	}
	return n
}

// queued is the number of bytes of Send that the kernel has not taken, or that are lost.
func (c *conn) queued() int64 { return int64(len(c.out)+c.writing) + c.lost }

// done is called by each goroutine as it ends; the last one releases. Under mu.
func (c *conn) done() {
	c.running--
	c.writable.Signal()
	c.readable.Signal()
	if c.running > 0 {
		if c.broken != nil || c.writeErr != nil && c.eof {
			c.nc.Close()
		}
		return
	}
	end := engine.End{Err: c.broken, Unsent: c.queued() + c.unconfirmed(), Discarded: c.discarded}
	if end.Err == nil {
		end.Err = c.writeErr
	}
	c.nc.Close()
	c.s.forget(c)
	c.s.h.Closed(c.id, end)
}
