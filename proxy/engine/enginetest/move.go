package enginetest

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Move. A driver that does not support it says false, and its tests end there.

// movers is two connections and their peers, with a Move of n bytes asked for.
type movers struct {
	src, dst     conn
	source, sink *net.TCPConn
}

func (r *rig) movers(ln net.Listener, n int64) (m movers) {
	r.t.Helper()
	m.src, m.source = r.pair(ln)
	m.dst, m.sink = r.pair(ln)
	m.move(n)
	return m
}

func (m movers) move(n int64) {
	m.src.r.t.Helper()
	var ok bool
	m.src.do(func(sh engine.Shard) { ok = sh.Move(m.dst.id, m.src.id, n) })
	if !ok {
		m.src.r.t.Skip("this driver does not move")
	}
}

// moved takes Moved events until one says done, and returns the sum.
func (c conn) moved() (total int64) {
	c.r.t.Helper()
	for {
		e := c.next(moved)
		total += e.n
		if e.done {
			return total
		}
	}
}

// feed streams n bytes into the source while the test reads on; the result is their hash.
func (m movers) feed(n int, then func()) <-chan []byte {
	sums := make(chan []byte, 1)
	go func() { // ends when all is written, or by the deadline of the connection
		sum, err := stream(m.source, n)
		if err != nil {
			m.src.r.t.Errorf("source: %v", err)
		}
		if then != nil {
			then()
		}
		sums <- sum
	}()
	return sums
}

func (m movers) wantSum(n int, sums <-chan []byte) {
	t := m.src.r.t
	t.Helper()
	got, err := hashOf(m.sink, n)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "moved", got, <-sums)
}

func testMoveCounted(t *testing.T, f Factory) {
	const n = 5<<20 + 7
	r := start(t, f, Options{}, nil)
	m := r.movers(r.listen(0), n)
	m.wantSum(n, m.feed(n, func() { _, _ = m.source.Write([]byte("behind")) }))
	if got := m.src.moved(); got != n {
		t.Errorf("Moved adds up to %d, want %d", got, n)
	}
	same(t, "behind the move", m.src.data(6), []byte("behind"))
	// Both are what they were: sending works, and so does another Move, of few bytes.
	m.dst.send([]byte("sent"))
	want(t, m.sink, "sent")
	m.dst.next(sent)
	m.move(3)
	write(t, m.source, "abcdef")
	want(t, m.sink, "abc")
	if got := m.src.moved(); got != 3 {
		t.Errorf("Moved adds up to %d, want 3", got)
	}
	same(t, "behind the move", m.src.data(3), []byte("def"))
}

func testMoveToEOF(t *testing.T, f Factory) {
	const n = 3 << 20
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	for _, asked := range []int64{-1, 2 * n} { // the source may also end before what was asked for
		m := r.movers(ln, asked)
		m.wantSum(n, m.feed(n, func() { _ = m.source.CloseWrite() }))
		if got := m.src.moved(); got != n {
			t.Errorf("Moved adds up to %d, want %d", got, n)
		}
		m.src.next(eof)
		m.dst.closeWrite()
		wantEOF(t, m.sink)
	}
}

func testMoveBehindQueue(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	src, source := r.pair(r.listen(0))
	dst, sink := r.pair(r.listen(1))
	big := fill(8 << 20)
	m := movers{src: src, dst: dst, source: source, sink: sink}
	dst.send(big)
	m.move(4)
	write(t, source, "tail")
	got := make([]byte, len(big))
	if _, err := io.ReadFull(sink, got); err != nil {
		t.Fatal(err)
	}
	same(t, "queued", got, big)
	want(t, sink, "tail")
	if got := src.moved(); got != 4 {
		t.Errorf("Moved adds up to %d, want 4", got)
	}
	dst.next(sent)
}

func testMovePaused(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	m := r.movers(ln, 6)
	m.src.pause()
	write(t, m.source, "paused")
	r.roundTrip(ln)
	if n := m.src.pending(); n != 0 {
		t.Fatalf("%d events while paused", n)
	}
	m.src.resume()
	want(t, m.sink, "paused")
	m.src.moved()
}

// More peers that take nothing than a driver may hold buffers for: each Move has taken what
// it can, and another one goes through. The heap stays flat meanwhile.
func testMoveStalled(t *testing.T, f Factory) {
	const stalled, size = 20, 24 << 20
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	var all []movers
	var sums []<-chan []byte
	before := heap()
	var waits []chan struct{}
	for range stalled {
		m := r.movers(ln, -1)
		_, _ = m.source.SetWriteBuffer(256<<10), m.sink.SetReadBuffer(256<<10)
		w := &stallWriter{nc: m.source, stalled: make(chan struct{})}
		sum := make(chan []byte, 1)
		go func() { // ends when all is written, or by the deadline of the connection
			s, err := stream(w, size)
			if err != nil {
				t.Errorf("source: %v", err)
			}
			_ = m.source.CloseWrite()
			sum <- s
		}()
		all, sums, waits = append(all, m), append(sums, sum), append(waits, w.stalled)
	}
	for _, w := range waits {
		<-w
	}
	if grown := heap() - before; grown > stalled*512<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	swift := r.movers(ln, size)
	swift.wantSum(size, swift.feed(size, nil))
	swift.src.moved()
	for i, m := range all {
		m.wantSum(size, sums[i])
		if got := m.src.moved(); got != size {
			t.Errorf("Moved adds up to %d, want %d", got, size)
		}
		m.src.next(eof)
	}
}

func testMoveSourceReset(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	m := r.movers(r.listen(0), -1)
	write(t, m.source, "x")
	want(t, m.sink, "x")
	reset(t, m.source)
	for {
		e := event{}
		m.src.r.await("Closed", func() bool {
			list := r.events[m.src.id]
			if len(list) > 0 {
				e, r.events[m.src.id] = list[0], list[1:]
			}
			return len(list) > 0
		})
		if e.kind == moved && !e.done {
			continue
		}
		if e.kind != closed || e.end.Err == nil {
			t.Fatalf("%+v, want Closed with an error, and no end of the Move before it", e)
		}
		break
	}
	m.dst.send([]byte("still mine")) // the destination is free
	want(t, m.sink, "still mine")
}

// The destination answers in the middle, closes with most of it unread, and so resets us.
func testMoveEarlyAnswer(t *testing.T, f Factory) {
	const answer = "413, and no more of this"
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	for range 20 {
		m := r.movers(ln, -1)
		go func() { _, _ = stream(m.source, 8<<20) }() // ends when the source is closed
		if _, err := io.ReadFull(m.sink, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		write(t, m.sink, answer)
		m.sink.Close()
		same(t, "early answer", m.dst.data(len(answer)), []byte(answer))
		// A kernel that had nothing unread at that moment sends FIN, and resets what comes then.
		last := m.dst.any("the end")
		if last.kind == eof {
			last = m.dst.any("the end")
		}
		if last.kind != closed || last.end.Err == nil {
			t.Fatalf("%+v, want Closed with an error", last)
		}
		// The source goes on as if there had been no Move.
		m.src.do(func(sh engine.Shard) { sh.Close(m.src.id, time.Millisecond) })
	}
}

func testMoveEnds(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	for _, end := range []func(engine.Shard, engine.ConnID){
		func(sh engine.Shard, id engine.ConnID) { sh.Abort(id) },
		func(sh engine.Shard, id engine.ConnID) { sh.Close(id, 50*time.Millisecond) },
	} {
		for _, side := range []func(movers) conn{
			func(m movers) conn { return m.src },
			func(m movers) conn { return m.dst },
		} {
			m := r.movers(ln, -1)
			w := &stallWriter{nc: m.source, stalled: make(chan struct{})}
			_, _ = m.source.SetWriteBuffer(256<<10), m.sink.SetReadBuffer(256<<10)
			go func() { _, _ = stream(w, 32<<20) }() // ends when the source is closed
			<-w.stalled                              // so that some of it is under way in us
			ended := side(m)
			ended.do(func(sh engine.Shard) { end(sh, ended.id) })
			for _, c := range []conn{m.src, m.dst} {
				c.do(func(sh engine.Shard) { sh.Abort(c.id) })
			}
			m.source.Close()
			m.dst.closed()
			m.src.lastEvent(closed)
		}
	}
}

// lastEvent takes events until one of that kind comes.
func (c conn) lastEvent(want kind) {
	c.r.t.Helper()
	c.r.await(string(want), func() bool {
		for list := c.r.events[c.id]; len(list) > 0; list = c.r.events[c.id] {
			c.r.events[c.id] = list[1:]
			if list[0].kind == want {
				return true
			}
		}
		return false
	})
}

// Moves reports whether a driver that was not started supports Move between two
// connections that it accepted.
func Moves(t *testing.T, d engine.Driver) (ok bool) {
	r := start(t, func(Options) engine.Driver { return d }, Options{}, nil)
	ln := r.listen(0)
	src, _ := r.pair(ln)
	dst, _ := r.pair(ln)
	src.do(func(sh engine.Shard) { ok = sh.Move(dst.id, src.id, -1) })
	return ok
}
