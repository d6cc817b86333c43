package enginetest

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// The ways in which a connection ends.

func testCloseWrite(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	c.closeWrite()
	c.closeWrite() // the second does nothing
	wantEOF(t, peer)
	write(t, peer, "still here")
	same(t, "after our FIN", c.data(10), []byte("still here"))
	finish(t, peer)
	c.next(eof)
	if end := c.closed(); end.Err != nil {
		t.Errorf("end %+v, want good order", end)
	}
}

func testCloseWriteOrder(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	big := fill(8 << 20)
	c.do(func(sh engine.Shard) {
		sh.Send(c.id, big)
		sh.CloseWrite(c.id)
	})
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "before FIN", got, big)
	c.next(sent)
	finish(t, peer)
	c.next(eof)
	if end := c.closed(); end.Err != nil || end.Unsent != 0 {
		t.Errorf("end %+v, want good order", end)
	}
}

func testSendAfterFIN(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, _ := r.pair(r.listen(0))
	c.do(func(sh engine.Shard) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		sh.CloseWrite(c.id)
		sh.Send(c.id, []byte("x"))
	})
}

func testHalfCloseBothWays(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	for _, oursFirst := range []bool{true, false} {
		c, peer := r.pair(ln)
		if oursFirst {
			c.closeWrite()
			wantEOF(t, peer)
		}
		finish(t, peer)
		c.next(eof)
		if !oursFirst {
			// The other direction lives on after the peer's FIN.
			c.send([]byte("late"))
			want(t, peer, "late")
			c.next(sent)
			c.closeWrite()
			wantEOF(t, peer)
		}
		if end := c.closed(); end.Err != nil || end.Unsent != 0 || end.Discarded != 0 {
			t.Errorf("ours first %v: end %+v, want good order", oursFirst, end)
		}
	}
}

func testClose(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	big := fill(8 << 20)
	c.do(func(sh engine.Shard) {
		sh.Send(c.id, big)
		sh.Close(c.id, patience)
		sh.Close(c.id, 0) // the second does nothing
	})
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "before FIN", got, big)
	peer.Close()
	if end := c.closed(); end.Err != nil || end.Unsent != 0 || end.Discarded != 0 {
		t.Errorf("end %+v, want good order", end)
	}
}

func testCloseDiscards(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	c.close(patience)
	wantEOF(t, peer)
	late := fill(100_000)
	if _, err := peer.Write(late); err != nil {
		t.Fatal(err)
	}
	finish(t, peer)
	if end := c.closed(); end.Err != nil || end.Discarded != int64(len(late)) {
		t.Errorf("end %+v, want %d bytes discarded", end, len(late))
	}
}

func testCloseLinger(t *testing.T, f Factory) {
	const linger = 100 * time.Millisecond
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	began := time.Now()
	c.close(linger)
	if end := c.closed(); end.Err != nil {
		t.Errorf("end %+v, want good order: it is what Close asked for", end)
	}
	if took := time.Since(began); took < linger {
		t.Errorf("the peer had %v, want %v", took, linger)
	}
	wantEOF(t, peer)
}

// A peer that does not read: what it has is the beginning of what was sent, and it
// must not look like the whole.
func testCloseUnsent(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	big := fill(32 << 20)
	c.do(func(sh engine.Shard) {
		sh.Send(c.id, big)
		sh.Close(c.id, 50*time.Millisecond)
	})
	if end := c.closed(); end.Err == nil || end.Unsent == 0 || end.Unsent > int64(len(big)) {
		t.Errorf("end %+v, want an error and what was not sent", end)
	}
	wantReset(t, peer)
}

func testEndWithinCall(t *testing.T, f Factory) {
	var at kind // owned by the loop, as is abort
	var abort bool
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		switch {
		case e.kind != at:
		case abort:
			sh.Abort(e.id)
		default:
			sh.Close(e.id, patience)
		}
		return false
	})
	ln := r.listen(0)
	for _, k := range []kind{accepted, received, eof, sent} {
		for _, cut := range []bool{false, true} {
			r.do(0, func(engine.Shard) { at, abort = k, cut })
			if k == accepted && cut {
				r.refuse(ln)
				continue
			}
			c, peer := r.pair(ln)
			switch k {
			case received:
				write(t, peer, "x")
				c.data(1)
			case eof:
				finish(t, peer)
				c.next(eof)
			case sent:
				c.send([]byte("x"))
				want(t, peer, "x")
				c.next(sent)
			}
			if cut {
				wantReset(t, peer)
			} else {
				wantEOF(t, peer)
				peer.Close()
			}
			if end := c.closed(); (end.Err != nil) != cut {
				t.Errorf("abort %v within %s: end %+v", cut, k, end)
			}
		}
	}
}

// refuse lets a peer dial that is reset within Accepted: its dial may or may not fail.
func (r *rig) refuse(ln net.Listener) {
	r.t.Helper()
	if nc, err := net.DialTimeout("tcp", ln.Addr().String(), patience); err == nil {
		_ = nc.SetDeadline(time.Now().Add(patience))
		wantReset(r.t, nc)
		nc.Close()
	}
	r.await("Accepted", func() bool { return len(r.fresh) == 1 })
	c := conn{r, r.fresh[0].id}
	r.fresh = nil
	if end := c.closed(); end.Err == nil {
		r.t.Errorf("end %+v, want an error", end)
	}
}

func testAbort(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	c.do(func(sh engine.Shard) {
		sh.Send(c.id, fill(32<<20))
		sh.Abort(c.id)
	})
	end := c.closed()
	if end.Err == nil || end.Unsent == 0 {
		t.Errorf("end %+v, want an error and what was not sent", end)
	}
	wantReset(t, peer)
}

func testAbortAfterClose(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	began := time.Now()
	c.close(2 * patience)
	wantEOF(t, peer)
	c.abort()
	if end := c.closed(); end.Err == nil {
		t.Errorf("end %+v, want an error", end)
	}
	if took := time.Since(began); took >= 2*patience {
		t.Errorf("took %v: it waited for the linger", took)
	}
}

func testPeerReset(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	c, peer := r.pair(ln)
	reset(t, peer)
	if end := c.closed(); !errors.Is(end.Err, syscall.ECONNRESET) {
		t.Errorf("end %+v, want a reset", end)
	}
	// Also within a close: the peer may not have read what we sent last.
	c, peer = r.pair(ln)
	c.close(patience)
	wantEOF(t, peer)
	reset(t, peer)
	if end := c.closed(); !errors.Is(end.Err, syscall.ECONNRESET) {
		t.Errorf("end of a close %+v, want a reset", end)
	}
}

// Pause stops Received and EOF, not Closed: work for a peer that is gone would go on.
func testPeerResetWhilePaused(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	c.pause()
	reset(t, peer)
	if end := c.closed(); !errors.Is(end.Err, syscall.ECONNRESET) {
		t.Errorf("end %+v, want a reset", end)
	}
}

// The kernel reports a reset once: to whoever asks first. If that is a write, the next
// read sees an end that looks like FIN, and a body that lasts until the close would
// look whole.
func testResetIsNotEOF(t *testing.T, f Factory) {
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		if e.kind == received {
			sh.Send(e.id, []byte("more"))
		}
		return e.kind == received || e.kind == sent
	})
	ln := r.listen(0)
	for range 60 {
		c, peer := r.pair(ln)
		c.send(fill(4 << 20)) // the writer is at work when the reset comes
		write(t, peer, "the first half")
		reset(t, peer)
		if end := c.closed(); end.Err == nil { // and no EOF before it
			t.Fatalf("end %+v, want an error", end)
		}
	}
}

// A peer that answers early and closes with our request unread resets our write. Its
// answer came before that and is not lost.
func testEarlyAnswer(t *testing.T, f Factory) {
	const answer = "413, and no more of this"
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	for range 30 {
		c, peer := r.pair(ln)
		big := fill(8 << 20)
		c.send(big)
		want(t, peer, string(big[:1])) // the rest of what came with it stays unread
		write(t, peer, answer)
		peer.Close() // so this is RST
		same(t, "early answer", c.data(len(answer)), []byte(answer))
		if end := c.closed(); end.Err == nil || end.Unsent == 0 {
			t.Fatalf("end %+v, want an error and what was not sent", end)
		}
	}
}
