package enginetest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Bytes in and out while a connection is open.

func testAccepted(t *testing.T, f Factory) {
	r := start(t, f, Options{Shards: 2}, nil)
	if got := r.d.Shards(); got != 2 {
		t.Fatalf("Shards() = %d, want 2", got)
	}
	for index := range 2 {
		ln := r.listen(index)
		peer := dial(t, ln)
		r.await("Accepted", func() bool { return len(r.fresh) == 1 })
		e := r.fresh[0]
		r.fresh = nil
		if e.listener != index {
			t.Errorf("listener %d, want %d", e.listener, index)
		}
		if got, want := e.peer.Remote.String(), peer.LocalAddr().String(); got != want {
			t.Errorf("remote %s, want %s", got, want)
		}
		if got, want := e.peer.Local.String(), ln.Addr().String(); got != want {
			t.Errorf("local %s, want %s", got, want)
		}
		if !e.peer.Remote.Addr().Is4() {
			t.Errorf("remote %s is not unmapped", e.peer.Remote)
		}
	}
}

// echo sends back what comes, and reads no faster than it can send.
func echo(sh engine.Shard, e event) bool {
	const high = 64 << 10
	switch e.kind {
	case received:
		sh.Send(e.id, e.data)
		if sh.Queued(e.id) > high {
			sh.Pause(e.id)
		}
	case sent:
		sh.Resume(e.id)
	case eof:
		sh.CloseWrite(e.id)
	default:
		return false
	}
	return true
}

// Everything that can call a handler does so at once; the referee watches.
func testOneCallAtATime(t *testing.T, f Factory) {
	const peers, rounds = 12, 40
	calls := make([]int, 2) // by shard; owned by the loops, read once the driver is closed
	r := start(t, f, Options{Shards: 2, Workers: 4}, func(sh engine.Shard, e event) bool {
		calls[sh.Index()]++
		if e.kind == received {
			sh.Arm(e.id, engine.TimerState, time.Millisecond)
			sh.Ask(e.id, func() any { return e.id })
		}
		return e.kind != accepted && e.kind != closed && (echo(sh, e) || e.kind == fired || e.kind == answered || e.kind == noticed)
	})
	ln := r.listen(0)
	var wg sync.WaitGroup
	for range peers {
		nc := dial(t, ln)
		wg.Go(func() { // ends after its rounds
			buf := make([]byte, 4)
			for range rounds {
				r.d.Post(0, "knock")
				r.d.Post(1, "knock")
				if _, err := nc.Write([]byte("ping")); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				if _, err := nc.Read(buf); err != nil {
					t.Errorf("read: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	r.d.Close()
	for shard, n := range calls {
		if n < rounds {
			t.Errorf("shard %d had %d calls: it took no part", shard, n)
		}
	}
}

// The referee spoils what was given to Send as soon as Send returned, and what was
// given to Received as soon as the handler returned.
func testSendCopies(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	c.do(func(sh engine.Shard) {
		for _, s := range []string{"one ", "", "two ", "three"} {
			sh.Send(c.id, []byte(s))
		}
	})
	want(t, peer, "one two three")
	c.next(sent)
	write(t, peer, "four")
	same(t, "Received", c.data(4), []byte("four"))
}

func testPauseHoldsBack(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	c, peer := r.pair(ln)
	write(t, peer, "before")
	same(t, "before", c.data(6), []byte("before"))
	c.pause()
	write(t, peer, "while paused")
	finish(t, peer)
	r.roundTrip(ln) // what a driver would do wrong it has had the time to do
	if n := c.pending(); n != 0 {
		t.Fatalf("%d events while paused", n)
	}
	// Resume and Pause within one call let nothing through.
	c.do(func(sh engine.Shard) { sh.Resume(c.id); sh.Pause(c.id) })
	r.roundTrip(ln)
	c.do(func(sh engine.Shard) { // pausing does not hold back what we send
		sh.Send(c.id, []byte("ours"))
	})
	want(t, peer, "ours")
	c.next(sent)
	c.resume()
	same(t, "while paused", c.data(12), []byte("while paused"))
	c.next(eof)
}

// roundTrip brings a byte to a handler of every shard and back, on new connections.
func (r *rig) roundTrip(ln net.Listener) {
	r.t.Helper()
	c, peer := r.pair(ln)
	write(r.t, peer, "x")
	c.data(1)
	c.send([]byte("y"))
	want(r.t, peer, "y")
	c.abort()
}

func testPauseFromTheStart(t *testing.T, f Factory) {
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		if e.kind == accepted {
			sh.Pause(e.id)
		}
		return false
	})
	ln := r.listen(0)
	first, peer := r.pair(ln)
	write(t, peer, "early")
	finish(t, peer)
	second, other := r.pair(ln)
	second.send([]byte("x"))
	want(t, other, "x")
	if n := first.pending(); n != 0 {
		t.Fatalf("%d events while paused", n)
	}
	first.resume()
	same(t, "early", first.data(5), []byte("early"))
	first.next(eof)
}

func testSentWhenEmpty(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))

	// Three sends in one call are one queue, and one Sent.
	c.do(func(sh engine.Shard) {
		for range 3 {
			sh.Send(c.id, []byte("abc"))
		}
		sh.Send(c.id, nil)
	})
	want(t, peer, "abcabcabc")
	c.next(sent)

	// More than the kernel takes: no Sent before the peer has read a part.
	big := fill(32 << 20)
	c.send(big)
	var queued int
	c.do(func(sh engine.Shard) { queued = sh.Queued(c.id) })
	var acked int64
	c.do(func(sh engine.Shard) { acked = sh.Acked(c.id) })
	if acked < -1 || acked >= int64(len(big)) {
		t.Errorf("%d bytes acknowledged by a peer that reads nothing", acked)
	}
	if queued == 0 || c.pending() > 0 {
		t.Fatalf("%d bytes queued, %d events: the kernel cannot have taken it all", queued, c.pending())
	}
	sum, err := hashOf(peer, len(big))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "sent", sum, sumOf(big))
	c.next(sent)
	c.do(func(sh engine.Shard) { queued = sh.Queued(c.id) })
	if queued != 0 {
		t.Errorf("%d bytes queued after Sent", queued)
	}
	write(t, peer, "z")
	c.data(1) // and no second Sent before it
	known := acked >= 0
	c.do(func(sh engine.Shard) { acked = sh.Acked(c.id) }) // with its byte the peer acknowledged ours
	if known && acked < int64(len(big)) {
		t.Errorf("%d bytes acknowledged of %d that the peer has", acked, len(big))
	}
}

// A fast source and a sink that does not read: the handler pauses, and neither the
// queue nor the heap grows.
func testBackPressure(t *testing.T, f Factory) {
	const total, high = 48 << 20, 64 << 10
	var src, dst engine.ConnID // owned by the loop
	var chunk, top int
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		switch {
		case e.kind == received && e.id == src:
			chunk = max(chunk, len(e.data))
			sh.Send(dst, e.data)
			top = max(top, sh.Queued(dst))
			if sh.Queued(dst) > high {
				sh.Pause(src)
			}
		case e.kind == sent && e.id == dst:
			sh.Resume(src)
		default:
			return false
		}
		return true
	})
	ln := r.listen(0)
	a, source := r.pair(ln)
	b, sink := r.pair(ln)
	a.do(func(engine.Shard) { src, dst = a.id, b.id })

	before := heap()
	w := &stallWriter{nc: source, stalled: make(chan struct{})}
	sums := make(chan []byte, 1)
	go func() { // ends when all is written, or by the deadline of the connection
		sum, err := stream(w, total)
		if err != nil {
			t.Errorf("source: %v", err)
		}
		sums <- sum
	}()
	select {
	case <-w.stalled:
	case <-sums:
		t.Fatal("the source never had to wait")
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	a.do(func(engine.Shard) {
		if top > high+chunk {
			t.Errorf("%d bytes were queued, want at most %d and one read of %d", top, high, chunk)
		}
	})
	got, err := hashOf(sink, total)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "through a stalled sink", got, <-sums)
}

// stallWriter tells when the kernel took nothing for a while.
type stallWriter struct {
	nc interface {
		Write([]byte) (int, error)
		SetWriteDeadline(time.Time) error
	}
	stalled chan struct{} // closed by Write, once
	told    bool
}

func (w *stallWriter) Write(b []byte) (int, error) {
	if w.told {
		return w.nc.Write(b)
	}
	_ = w.nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := w.nc.Write(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	w.told = true
	close(w.stalled)
	_ = w.nc.SetWriteDeadline(time.Now().Add(patience))
	m, err := w.nc.Write(b[n:])
	return n + m, err
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func testEchoExact(t *testing.T, f Factory) {
	size := 64 << 20
	if testing.Short() {
		size = 4 << 20
	}
	r := start(t, f, Options{}, echo)
	c, peer := r.pair(r.listen(0))
	_ = peer.SetDeadline(time.Now().Add(3 * patience))
	sums := make(chan []byte, 1)
	go func() { // ends when all is written, or by the deadline of the connection
		sum, err := stream(peer, size)
		if err != nil {
			t.Errorf("write: %v", err)
		}
		_ = peer.CloseWrite()
		sums <- sum
	}()
	got, err := hashOf(peer, size)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, <-sums) {
		t.Error("what came back differs from what was sent")
	}
	wantEOF(t, peer)
	if end := c.closed(); end.Err != nil || end.Unsent != 0 || end.Discarded != 0 {
		t.Errorf("end %+v, want good order", end)
	}
}

// What stands behind a read is known before anything else is done: whoever takes the end of a
// read for the end of what came would be wrong about the next bytes.
func testUnread(t *testing.T, f Factory) {
	type piece struct {
		n    int
		more bool
	}
	var pieces []piece // owned by the loop
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		if e.kind == received {
			pieces = append(pieces, piece{len(e.data), sh.Unread(e.id)})
		}
		return false
	})
	c, peer := r.pair(r.listen(0))
	c.pause()
	const size = 50_000 // more than one read, and less than the buffers of the kernel
	write(t, peer, string(fill(size)))
	c.do(func(sh engine.Shard) { sh.Send(c.id, []byte("x")) })
	want(t, peer, "x")
	c.next(sent)
	c.resume()
	c.data(size)
	c.do(func(sh engine.Shard) {
		left, known := size, false
		for _, p := range pieces {
			known = known || p.more
			if left -= p.n; p.more && left == 0 {
				t.Errorf("more is known to wait behind the last of the pieces %v", pieces)
			}
		}
		if runtime.GOOS == "linux" && !known {
			t.Errorf("nothing is known to wait behind any of the pieces %v", pieces)
		}
		if sh.Unread(engine.MakeConnID(0, 999, 999)) {
			t.Error("something waits on a connection that there is not")
		}
	})
}

// What is known about a peer: nothing is outstanding once it took all, something is while it
// reads nothing, and it was heard of. Where it cannot be known the driver says so.
func testCheck(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	check := func() (v engine.Vital, ok bool) {
		c.do(func(sh engine.Shard) { v, ok = sh.Check(c.id, time.Second) })
		return v, ok
	}
	if _, ok := check(); !ok {
		t.Skip("this driver cannot know here")
	}
	c.send([]byte("abc"))
	want(t, peer, "abc")
	c.next(sent)
	write(t, peer, "z")
	c.data(1) // with its byte the peer acknowledged ours
	before, _ := check()
	if before.Pending != 0 || before.Acked < 3 || before.Heard > 10*time.Second {
		t.Errorf("of a peer that has it all: %+v", before)
	}
	big := fill(32 << 20)
	c.send(big)
	if v, ok := check(); !ok || v.Pending == 0 || v.Acked < before.Acked {
		t.Errorf("of a peer that reads nothing: %+v, %v", v, ok)
	}
	sum, err := hashOf(peer, len(big))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "sent", sum, sumOf(big))
	c.next(sent)
	c.do(func(sh engine.Shard) {
		if _, ok := sh.Check(engine.MakeConnID(0, 999, 999), 0); ok {
			t.Error("something is known of a connection that there is not")
		}
	})
}
