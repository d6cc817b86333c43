package drain

import "slices"

// table holds the connections that are open. A connection keeps its place for life, so
// that the table can be walked in pieces while others come and go: whoever is there
// throughout is seen exactly once, and a place never shows a connection twice. Places are
// reused; a table is as long as it ever was full. Guarded by Tracker.mu.
type table struct {
	places []*Conn // nil: free
	free   []int32
	n      int // connections
}

func (tb *table) add(c *Conn) {
	tb.n++
	if k := len(tb.free); k > 0 {
		c.index, tb.free = tb.free[k-1], tb.free[:k-1]
		tb.places[c.index] = c
		return
	}
	c.index = int32(len(tb.places))
	tb.places = append(tb.places, c)
}

func (tb *table) remove(c *Conn) {
	tb.places[c.index] = nil
	tb.free = append(tb.free, c.index)
	tb.n--
	c.index = -1
}

// all yields every connection. Call with mu held for as long as it runs.
func (tb *table) all(yield func(*Conn) bool) {
	for _, c := range tb.places {
		if c != nil && !yield(c) {
			return
		}
	}
}

// list copies the connections.
func (tb *table) list() []*Conn { return slices.AppendSeq(make([]*Conn, 0, tb.n), tb.all) }

// piece is how many places are copied under the lock at a time by whoever only looks:
// some microseconds. Traffic never waits for longer than that on account of a look.
const piece = 1024

// look visits every connection without the lock. Invariant: mu is held for one piece of
// the table at a time, however many there are.
func (t *Tracker) look(visit func(*Conn)) {
	buf := make([]*Conn, 0, piece)
	for from := 0; ; from += piece {
		t.mu.Lock()
		end := len(t.table.places)
		if from >= end {
			t.mu.Unlock()
			return
		}
		for _, c := range t.table.places[from:min(from+piece, end)] {
			if c != nil {
				buf = append(buf, c)
			}
		}
		t.mu.Unlock()
		for _, c := range buf {
			visit(c)
		}
		buf = buf[:0]
	}
}
