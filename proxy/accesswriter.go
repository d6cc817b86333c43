package proxy

import (
	"io"
	"sync"
	"sync/atomic"
)

// AccessWriter carries access records from the loops to a writer that may be slow: it
// takes whole lines, never blocks a loop, and counts what it had to drop. The zero
// value is not usable; see NewAccessWriter. Close writes out the rest.
type AccessWriter struct {
	w       io.Writer
	limit   int
	dropped atomic.Uint64
	failed  atomic.Uint64

	mu     sync.Mutex // guards what follows
	buf    []byte     // taken, not written yet
	closed bool
	more   sync.Cond // buf or closed changed; L is mu

	done chan struct{} // closed by run when it returns
}

// NewAccessWriter makes one that holds at most limit bytes (0: 1 MiB) for w.
func NewAccessWriter(w io.Writer, limit int) *AccessWriter {
	if limit <= 0 {
		limit = 1 << 20
	}
	a := &AccessWriter{w: w, limit: limit, done: make(chan struct{})}
	a.more.L = &a.mu
	go a.run() // ends with Close
	return a
}

// WriteLines implements AccessSink.
func (a *AccessWriter) WriteLines(b []byte) {
	a.mu.Lock()
	if a.closed || len(a.buf)+len(b) > a.limit {
		a.mu.Unlock()
		a.dropped.Add(1)
		return
	}
	a.buf = append(a.buf, b...)
	a.mu.Unlock()
	a.more.Signal()
}

// Dropped is how many writes of a loop (one or more lines each) found no room.
func (a *AccessWriter) Dropped() uint64 { return a.dropped.Load() }

// Failed is how many writes the writer refused: their lines are gone.
func (a *AccessWriter) Failed() uint64 { return a.failed.Load() }

// Close writes what is left and joins. A writer that never returns holds it.
func (a *AccessWriter) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.more.Signal()
	<-a.done
}

// run writes one buffer while the loops fill the other. Owner: AccessWriter.
func (a *AccessWriter) run() {
	defer close(a.done)
	var mine []byte
	for {
		a.mu.Lock()
		for len(a.buf) == 0 && !a.closed {
			a.more.Wait()
		}
		if len(a.buf) == 0 {
			a.mu.Unlock()
			return
		}
		mine, a.buf = a.buf, mine[:0]
		a.mu.Unlock()
		if _, err := a.w.Write(mine); err != nil {
			a.failed.Add(1)
		}
	}
}
