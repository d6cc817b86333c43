package portable

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
)

const (
	smallRead = 4 << 10  // what an idle connection holds
	largeRead = 32 << 10 // while bytes flow
)

// read carries bytes to the handler, one read at a time. Owner: the connection;
// ends with EOF, an error, or the close.
func (c *conn) read() {
	defer c.s.d.wg.Done()
	small := make([]byte, smallRead)
	buf, pooled := small, (*[]byte)(nil)
	for {
		n, err := c.nc.Read(buf)
		c.s.enter()
		c.more = n == len(buf)
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
	if len(b) == 0 && err != nil && err != io.EOF && !c.closing && c.broken == nil {
		// All that came before was handed over. Not even a pause holds this back:
		// whatever is done for this peer is done in vain.
		c.fail(err)
		return false
	}
	c.awaitResume()
	switch {
	case c.broken != nil:
		return false
	case c.closing:
		return c.discard(b, err)
	case len(b) > 0:
		c.s.h.Received(c.id, b)
	}
	if err == nil {
		return true
	}
	sure := err != io.EOF || c.sureOfEOF()
	// The handler may have paused just now: EOF waits its turn as well.
	c.awaitResume()
	switch {
	case c.broken != nil:
	case c.closing:
		return c.discard(nil, err)
	case err != io.EOF:
		c.fail(err)
	case !sure:
		c.fail(c.writeErr)
	default:
		c.eof = true
		c.s.h.EOF(c.id)
		c.writable.Signal()
	}
	return false
}

// awaitResume waits out a pause. Under mu; lets go of it while waiting.
func (c *conn) awaitResume() {
	for c.paused && !c.closing && c.broken == nil {
		c.s.wait(&c.readable)
	}
}

// discard reads on after close, up to EOF or the deadline.
func (c *conn) discard(b []byte, err error) bool {
	c.discarded += int64(len(b))
	switch {
	case err == nil:
		return true
	case err == io.EOF:
		c.eof = true
	case !errors.Is(err, os.ErrDeadlineExceeded):
		c.fail(err)
	}
	c.writable.Signal() // the writer waits for the end of the reading
	return false
}

// sureOfEOF reports whether the EOF that was read is the peer's FIN. Under mu; lets go
// of it while waiting.
//
// The kernel tells of a reset once. If a write takes that news, the next read returns 0
// as if a FIN had come, and a body that lasts until the close would look whole. So where
// the connection is dead and a write is under way, its error is awaited, which takes no
// time then. Linux says EPIPE where the FIN was there before the reset (tcp_reset in
// CLOSE_WAIT), ECONNRESET where none was. Elsewhere nothing is certain: no FIN.
func (c *conn) sureOfEOF() bool {
	for c.writing > 0 && c.writeErr == nil && c.broken == nil && !c.closing && dead(c.nc) {
		c.doubting = true
		c.s.wait(&c.readable)
		c.doubting = false
	}
	return c.writeErr == nil || runtime.GOOS == "linux" && errors.Is(c.writeErr, syscall.EPIPE)
}
