package tlslayer

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// wire is the connection that crypto/tls has: two buffers. While the handshake runs, its
// goroutine waits in Read for what the loop brings; afterwards only the loop uses it.
type wire struct {
	mu       sync.Mutex // guards what follows while a handshake runs
	more     sync.Cond  // in, eof or closed changed
	in       []byte     // what has come; in[off:] was not read yet
	off      int
	out      []byte // what is to be sent
	eof      bool   // the peer sends no more
	told     bool   // Read said so
	closed   bool   // the connection is over
	waits    bool   // Read waits where there is nothing: a handshake runs
	announce func() // tells the loop that out is to be sent, and the handshake waits
	working  chan struct{}
}

func newWire(working chan struct{}) *wire {
	w := &wire{working: working, waits: true}
	w.more.L = &w.mu
	return w
}

// work and rest bracket what a handshake computes.
func (w *wire) work() { w.working <- struct{}{} }
func (w *wire) rest() { <-w.working }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off == len(w.in) && w.waits && !w.eof && !w.closed {
		w.await()
	}
	switch {
	case w.off < len(w.in):
		n := copy(p, w.in[w.off:])
		if w.off += n; w.off == len(w.in) {
			w.in, w.off = w.in[:0], 0
		}
		return n, nil
	case w.closed:
		return 0, net.ErrClosed
	case w.eof:
		w.told = true
		return 0, io.EOF
	}
	return 0, wouldBlock{}
}

// await waits for bytes, or for an end. Others may compute meanwhile.
func (w *wire) await() {
	if len(w.out) > 0 {
		w.announce()
	}
	w.rest()
	for w.off == len(w.in) && !w.eof && !w.closed {
		w.more.Wait()
	}
	w.mu.Unlock()
	w.work()
	w.mu.Lock()
}

// Write implements net.Conn. It takes everything: the loop looks at what is queued before it
// sends, and a handshake writes no more than its flights.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, net.ErrClosed
	}
	w.out = append(w.out, p...)
	return len(p), nil
}

// feed adds what has come; it returns how much was not read yet.
func (w *wire) feed(b []byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off > 0 {
		w.in = w.in[:copy(w.in, w.in[w.off:])]
		w.off = 0
	}
	w.in = append(w.in, b...)
	w.more.Signal()
	return len(w.in)
}

func (w *wire) unread() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.in) - w.off
}

// end says that the peer sends no more.
func (w *wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.eof = true
	w.more.Signal()
}

// shut ends it all.
func (w *wire) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.more.Signal()
}

// opened: the handshake is over, nobody waits in Read any more.
func (w *wire) opened() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = false
}

// lend gives w the memory to gather what it writes next in.
func (w *wire) lend(memory []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.out) == 0 {
		w.out = memory[:0]
	}
}

// fetch takes what is to be sent.
func (w *wire) fetch() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.out
	w.out = nil
	return out
}

// borrow lends b to Read until keep, which copies what was not read. For the loop, once the
// handshake is over.
func (w *wire) borrow(b []byte) (lent bool) {
	if w.off < len(w.in) {
		w.feed(b)
		return false
	}
	w.in, w.off = b, 0
	return true
}

func (w *wire) keep() {
	w.in, w.off = append([]byte(nil), w.in[w.off:]...), 0
}

// Close implements net.Conn: who owns the socket closes it.
func (w *wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return nowhere{} }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return nowhere{} }

// SetDeadline implements net.Conn: deadlines are the handler's.
func (w *wire) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type nowhere struct{}

func (nowhere) Network() string { return "memory" }
func (nowhere) String() string  { return "memory" }

// wouldBlock is a net.Error that crypto/tls does not remember.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing has come" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }
