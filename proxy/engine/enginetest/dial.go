package enginetest

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Connections that the driver opens, and the life of IDs.

// dial lets a shard dial and returns the ID.
func (r *rig) dial(shard int, addr string, timeout time.Duration) (c conn) {
	r.t.Helper()
	r.do(shard, func(sh engine.Shard) { c = conn{r, sh.Dial(addr, timeout)} })
	return c
}

func testDial(t *testing.T, f Factory) {
	r := start(t, f, Options{Shards: 2}, nil)
	origin := listen(t)
	for shard := range 2 {
		c := r.dial(shard, origin.Addr().String(), patience)
		if c.id.Shard() != shard {
			t.Errorf("ID %#x, want shard %d", c.id, shard)
		}
		peer := accept(t, origin)
		if e := c.next(dialed); e.err != nil {
			t.Fatal(e.err)
		}
		write(t, peer, "hello")
		same(t, "hello", c.data(5), []byte("hello"))
		c.send([]byte("there"))
		want(t, peer, "there")
		c.next(sent)
		c.do(func(sh engine.Shard) { sh.Close(c.id, patience) })
		wantEOF(t, peer)
		peer.Close()
		if end := c.closed(); end.Err != nil {
			t.Errorf("end %+v, want good order", end)
		}
	}
}

func testDialRefused(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := listen(t)
	ln.Close()
	c := r.dial(0, ln.Addr().String(), 0)
	if e := c.next(dialed); !errors.Is(e.err, syscall.ECONNREFUSED) {
		t.Errorf("dialed: %v, want a refusal", e.err)
	}
	// The ID is dead and its slot free.
	c.do(func(sh engine.Shard) { sh.Abort(c.id); sh.Send(c.id, []byte("x")) })
	again := r.dial(0, ln.Addr().String(), 0)
	if again.id == c.id || again.id.Slot() != c.id.Slot() {
		t.Errorf("IDs %#x and %#x, want another generation of one slot", c.id, again.id)
	}
	again.next(dialed)
	if n := c.pending(); n != 0 {
		t.Errorf("%d events after a failed dial", n)
	}
}

func testDialTimeout(t *testing.T, f Factory) {
	const timeout = 50 * time.Millisecond
	r := start(t, f, Options{}, nil)
	addr := deafAddr(t)
	began := time.Now()
	c := r.dial(0, addr, timeout)
	e := c.next(dialed)
	var ne net.Error
	if !errors.As(e.err, &ne) || !ne.Timeout() {
		t.Errorf("dialed: %v, want a timeout", e.err)
	}
	if took := time.Since(began); took < timeout {
		t.Errorf("gave up after %v, want %v", took, timeout)
	}
}

func testDialGivenUp(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	deaf, origin := deafAddr(t), listen(t)
	for _, addr := range []string{deaf, origin.Addr().String()} {
		for _, giveUp := range []func(engine.Shard, engine.ConnID){
			func(sh engine.Shard, id engine.ConnID) { sh.Close(id, patience) },
			func(sh engine.Shard, id engine.ConnID) { sh.Close(id, 0); sh.Abort(id) },
			func(sh engine.Shard, id engine.ConnID) { sh.Abort(id); sh.Close(id, 0) },
		} {
			var c conn
			r.do(0, func(sh engine.Shard) {
				c = conn{r, sh.Dial(addr, 3*patience)}
				sh.Arm(c.id, engine.TimerState, time.Millisecond)
				giveUp(sh, c.id)
			})
			c.closed()
			if n := c.pending(); n != 0 {
				t.Errorf("%d events after Closed", n)
			}
		}
	}
}

func testStaleID(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	old, peer := r.pair(ln)
	old.close(patience)
	wantEOF(t, peer)
	peer.Close()
	old.closed()

	c, peer := r.pair(ln)
	if c.id.Slot() != old.id.Slot() || c.id.Gen() == old.id.Gen() {
		t.Fatalf("IDs %#x and %#x, want another generation of one slot", old.id, c.id)
	}
	c.do(func(sh engine.Shard) {
		for _, id := range []engine.ConnID{old.id, 0, engine.MakeConnID(0, 1, 1<<20)} {
			sh.Send(id, []byte("to a stranger"))
			sh.Pause(id)
			sh.CloseWrite(id)
			sh.Arm(id, engine.TimerRead, time.Millisecond)
			sh.Close(id, 0)
			sh.Abort(id)
			if sh.Queued(id) != 0 || sh.Move(id, c.id, 1) || sh.Move(c.id, id, 1) || sh.Ask(id, func() any { return nil }) {
				t.Errorf("ID %#x did something", id)
			}
			sh.Pause(c.id)
			sh.Resume(id)
			sh.Resume(c.id)
		}
		sh.Arm(c.id, engine.TimerState, 40*time.Millisecond)
	})
	if e := c.next(fired); e.timer != engine.TimerState {
		t.Errorf("timer %d fired", e.timer)
	}
	write(t, peer, "x")
	c.data(1)
	c.send([]byte("y"))
	want(t, peer, "y")
}
