package portable

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/wheel"
)

const (
	smallRead = 4 << 10   // what an idle connection holds
	largeRead = 32 << 10  // while bytes flow
	keepOut   = 256 << 10 // a larger write buffer is given back when empty
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
	eof      bool  // the reader saw the FIN
	broken   error // the connection is of no use any more
	writeErr error // only the write side is broken: what the peer sent before may still be read

	out     []byte // queued by Send
	writing int    // bytes the writer has in its hands
	finSent bool   // CloseWrite was asked for

	closing   bool
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
	for i := range c.timers {
		c.s.timers.Disarm(&c.timers[i])
	}
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

// abort resets. What is left is reported as unsent.
func (c *conn) abort() {
	c.closing = true
	if c.cancelDial != nil {
		c.cancelDial()
		return
	}
	if c.broken == nil {
		c.broken = errReset
	}
	if t, ok := c.nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.nc.Close()
	c.readable.Signal()
	c.writable.Signal()
}

// fail ends both halves: the connection is of no use.
func (c *conn) fail(err error) {
	if c.broken == nil {
		c.broken = err
	}
	c.nc.Close()
	c.readable.Signal()
	c.writable.Signal()
}

// read carries bytes to the handler, one read at a time. Owner: the connection;
// ends with EOF, an error, or the close.
func (c *conn) read() {
	defer c.s.d.wg.Done()
	small := make([]byte, smallRead)
	buf, pooled := small, (*[]byte)(nil)
	for {
		n, err := c.nc.Read(buf)
		c.s.enter()
		if !c.received(buf[:n], err) {
			c.done()
			c.s.leave()
			break
		}
		c.s.leave()
		switch {
		case n == len(buf) && pooled == nil: // a full read: more is likely
			pooled = readBuffers.Get().(*[]byte)
			buf = *pooled
		case n < smallRead && pooled != nil:
			readBuffers.Put(pooled)
			buf, pooled = small, nil
		}
	}
	if pooled != nil {
		readBuffers.Put(pooled)
	}
}

var readBuffers = sync.Pool{New: func() any { b := make([]byte, largeRead); return &b }}

// received handles the outcome of one Read; false ends the reader. Under mu.
func (c *conn) received(b []byte, err error) bool {
	for c.paused && !c.closing && c.broken == nil {
		c.readable.Wait()
	}
	c.s.now = time.Now()
	if c.broken != nil {
		return false
	}
	if c.closing {
		c.discarded += int64(len(b))
		if err == nil {
			return true
		}
		c.eof = err == io.EOF
		c.writable.Signal() // the writer waits for the end of the reading
		return false
	}
	if len(b) > 0 {
		c.s.h.Received(c.id, b)
	}
	if err == nil {
		return true
	}
	if c.closing { // by that very call
		c.eof = err == io.EOF
		return false
	}
	// The handler may have paused just now: EOF and errors wait their turn as well.
	for c.paused && !c.closing && c.broken == nil {
		c.readable.Wait()
	}
	c.s.now = time.Now()
	if err == io.EOF {
		c.eof = true
		if !c.closing && c.broken == nil {
			c.s.h.EOF(c.id)
		}
		c.writable.Signal()
		return false
	}
	if !c.closing {
		c.fail(err)
	}
	return false
}

// write carries the queue to the kernel and, at the end, closes in good order.
// Owner: the connection; ends with the close, or with FIN both ways.
func (c *conn) write() {
	defer c.s.d.wg.Done()
	var mine []byte
	c.s.mu.Lock()
	for {
		for len(c.out) == 0 && !c.finSent && !c.closing && c.broken == nil && c.writeErr == nil {
			c.writable.Wait()
		}
		if c.broken != nil || c.writeErr != nil {
			break
		}
		if len(c.out) == 0 { // FIN is asked for, or close
			break
		}
		mine, c.out = c.out, mine[:0]
		c.writing = len(mine)
		c.s.mu.Unlock()
		n, err := c.nc.Write(mine)
		c.s.enter()
		c.writing -= n
		if err != nil {
			c.writeFailed(err)
			break
		}
		if cap(mine) > keepOut {
			mine = nil
		}
		if len(c.out) == 0 && !c.closing && c.broken == nil {
			c.s.h.Sent(c.id)
		}
		c.s.leave()
		c.s.mu.Lock()
	}
	c.endWrite()
	c.s.now = time.Now()
	c.done()
	c.s.leave()
}

// writeFailed keeps the read side open: an upstream that answers early and closes
// resets our write, but its answer is still there to be read.
func (c *conn) writeFailed(err error) {
	c.writeErr = err
	c.out = nil
	if c.closing {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.fail(err)
		} else if c.broken == nil {
			c.broken = err
		}
		return
	}
	if c.paused || c.eof {
		c.fail(err)
	}
}

// endWrite sends FIN and waits as the end demands. Under mu; lets go of it while waiting.
func (c *conn) endWrite() {
	if c.broken != nil || c.writeErr != nil {
		return
	}
	c.s.mu.Unlock()
	if cw, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = cw.CloseWrite()
	}
	c.s.mu.Lock()
	// The reader ends at EOF, at the deadline of close, or with an error.
	for c.running == 2 && c.broken == nil {
		c.writable.Wait()
	}
	if c.broken != nil {
		return
	}
	limit := c.s.d.cfg.Flush
	if c.closing {
		limit = min(limit, 2*c.linger)
	}
	c.s.mu.Unlock()
	awaitFlushed(c.nc, limit)
	c.s.mu.Lock()
}

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
	end := engine.End{Err: c.broken, Unsent: int64(len(c.out)+c.writing) + outQueue(c.nc), Discarded: c.discarded}
	if end.Err == nil {
		end.Err = c.writeErr
	}
	c.nc.Close()
	c.s.forget(c)
	c.s.h.Closed(c.id, end)
}
