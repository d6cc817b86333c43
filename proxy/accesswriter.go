package proxy

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// AccessWriter carries access records from the loops to a writer that may be slow or
// stuck (a pipe that nobody reads): it takes whole lines, never blocks its caller, and
// counts what it had to drop. The process log goes through one too, because a stop must
// not wait for whoever reads it. The zero value is not usable; see NewAccessWriter.
// Close and CloseWithin write out the rest.
type AccessWriter struct {
	w       io.Writer
	limit   int
	gather  time.Duration
	persist bool // what the writer refuses is offered to it again
	dropped atomic.Uint64
	failed  atomic.Uint64

	mu     sync.Mutex // guards what follows
	buf    []byte     // taken, not written yet
	closed bool
	more   sync.Cond // buf or closed changed; L is mu

	hurry chan struct{} // has one when much has gathered, or at the end; never closed
	done  chan struct{} // closed by run when it returns
}

// much is what is written at once although more may come soon.
const much = 64 << 10

// NewAccessWriter makes one that holds at most limit bytes (0: 1 MiB) for w. A line waits for
// others for up to gather, unless much came already: a write, and a wake-up, for each line
// would cost as much as a third of the exchange. 0: it is written at once.
func NewAccessWriter(w io.Writer, limit int, gather time.Duration) *AccessWriter {
	a := newAccessWriter(w, limit, gather)
	go a.run() // ends with Close
	return a
}

func newAccessWriter(w io.Writer, limit int, gather time.Duration) *AccessWriter {
	if limit <= 0 {
		limit = 1 << 20
	}
	a := &AccessWriter{w: w, limit: limit, gather: gather, hurry: make(chan struct{}, 1), done: make(chan struct{})}
	a.more.L = &a.mu
	return a
}

// persistRetry is how long a writer that refused something is left alone.
const persistRetry = 200 * time.Millisecond

// NewDecisionWriter makes one that loses nothing that it took while it is open: what w refuses (a full file system) is offered
// again, so that the room for more is used up and TryLines says so.
func NewDecisionWriter(w io.Writer, limit int, gather time.Duration) *AccessWriter {
	a := newAccessWriter(w, limit, gather)
	a.persist = true
	go a.run() // ends with Close
	return a
}

// WriteLines implements AccessSink.
func (a *AccessWriter) WriteLines(b []byte) {
	if !a.TryLines(b) {
		a.dropped.Add(lines(b))
	}
}

// TryLines implements DecisionSink.
func (a *AccessWriter) TryLines(b []byte) bool {
	a.mu.Lock()
	if a.closed || len(a.buf)+len(b) > a.limit {
		a.mu.Unlock()
		return false
	}
	had := len(a.buf)
	a.buf = append(a.buf, b...)
	full := had < much && len(a.buf) >= much
	a.mu.Unlock()
	if had == 0 {
		a.more.Signal()
	}
	if full {
		a.hasten()
	}
	return true
}

func (a *AccessWriter) hasten() {
	select {
	case a.hurry <- struct{}{}:
	default:
	}
}

// Write implements io.Writer for one whole line, or several. It never fails: what finds
// no room is dropped and counted.
func (a *AccessWriter) Write(b []byte) (int, error) {
	a.WriteLines(b)
	return len(b), nil
}

// Dropped is how many lines found no room.
func (a *AccessWriter) Dropped() uint64 { return a.dropped.Load() }

// Failed is how many lines the writer refused (a full file system, a pipe whose reader went
// away): they are gone.
func (a *AccessWriter) Failed() uint64 { return a.failed.Load() }

func lines(b []byte) uint64 { return uint64(bytes.Count(b, newline)) }

var newline = []byte{'\n'}

// Close writes what is left and joins. A writer that never returns holds it.
func (a *AccessWriter) Close() {
	a.end()
	<-a.done
}

// CloseWithin is Close for at most d; false: the writer is stuck, what was left is lost,
// and the goroutine stays until the process ends.
func (a *AccessWriter) CloseWithin(d time.Duration) bool {
	a.end()
	limit := time.NewTimer(d)
	defer limit.Stop()
	select {
	case <-a.done:
		return true
	case <-limit.C:
		return false
	}
}

func (a *AccessWriter) end() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.more.Signal()
	a.hasten()
}

// run writes one buffer while the loops fill the other. Owner: AccessWriter.
func (a *AccessWriter) run() {
	defer close(a.done)
	var mine []byte
	timer := time.NewTimer(a.gather)
	defer timer.Stop()
	torn := false
	for {
		a.mu.Lock()
		for len(a.buf) == 0 && !a.closed {
			a.more.Wait()
		}
		if len(a.buf) == 0 {
			a.mu.Unlock()
			return
		}
		if a.gather > 0 && len(a.buf) < much && !a.closed {
			a.mu.Unlock()
			timer.Reset(a.gather)
			select {
			case <-timer.C:
			case <-a.hurry:
			}
			a.mu.Lock()
		}
		mine, a.buf = a.buf, mine[:0]
		a.mu.Unlock()
		if a.persist {
			a.writeAll(mine)
		} else {
			torn = a.writeOut(mine, torn)
		}
	}
}

// writeAll writes until all is written, or until the end: then it tries once more.
func (a *AccessWriter) writeAll(b []byte) {
	for {
		a.mu.Lock()
		last := a.closed
		a.mu.Unlock()
		n, err := a.w.Write(b)
		b = b[n:]
		switch {
		case err == nil:
			return
		case last:
			a.failed.Add(lines(b))
			return
		}
		wait := time.NewTimer(persistRetry)
		select {
		case <-wait.C:
		case <-a.hurry:
			wait.Stop()
		}
	}
}

// writeOut writes whole lines. torn: the last write broke off in the middle of a line, which
// is ended first, so that it spoils no other.
func (a *AccessWriter) writeOut(b []byte, torn bool) bool {
	if torn {
		if _, err := a.w.Write(newline); err != nil {
			a.failed.Add(lines(b))
			return true
		}
	}
	n, err := a.w.Write(b)
	if err == nil {
		return false
	}
	a.failed.Add(lines(b[n:]))
	return n > 0 && b[n-1] != '\n'
}
