package enginetest

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// What reaches a handler besides bytes: timers, answers, posts.

func testTimers(t *testing.T, f Factory) {
	const short, long = 20 * time.Millisecond, 60 * time.Millisecond
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		if e.kind == received {
			sh.Arm(e.id, engine.TimerState, time.Millisecond)
		}
		return e.kind == received
	})
	c, peer := r.pair(r.listen(0))
	var armed time.Time
	c.do(func(sh engine.Shard) {
		armed = time.Now()
		sh.Arm(c.id, engine.TimerRead, time.Millisecond)
		sh.Arm(c.id, engine.TimerRead, long) // moves it
		sh.Arm(c.id, engine.TimerWrite, short)
		sh.Arm(c.id, engine.TimerWrite, 0) // disarms it
		sh.Arm(c.id, engine.TimerState, time.Hour)
		sh.Arm(c.id, engine.TimerState, short) // moves it the other way
	})
	for _, want := range []struct {
		timer engine.Timer
		after time.Duration
	}{{engine.TimerState, short}, {engine.TimerRead, long}} {
		e := c.next(fired)
		if e.timer != want.timer {
			t.Fatalf("timer %d fired, want %d", e.timer, want.timer)
		}
		if after := e.at.Sub(armed); after < want.after {
			t.Errorf("timer %d fired after %v, want %v", e.timer, after, want.after)
		}
	}
	// Firing disarms; it may be armed again, and one that is sooner overtakes.
	c.do(func(sh engine.Shard) { sh.Arm(c.id, engine.TimerRead, 4*patience) })
	for range 3 {
		c.do(func(sh engine.Shard) { sh.Arm(c.id, engine.TimerState, time.Millisecond) })
		if e := c.next(fired); e.timer != engine.TimerState {
			t.Fatalf("timer %d fired", e.timer)
		}
		write(t, peer, "x") // the same from within a call that bytes brought about
		if e := c.next(fired); e.timer != engine.TimerState {
			t.Fatalf("timer %d fired", e.timer)
		}
	}
}

func testTimersEnd(t *testing.T, f Factory) {
	const soon, later = 20 * time.Millisecond, 100 * time.Millisecond
	r := start(t, f, Options{}, nil)
	ln := r.listen(0)
	for _, end := range []func(engine.Shard, engine.ConnID){
		func(sh engine.Shard, id engine.ConnID) { sh.Close(id, later) },
		func(sh engine.Shard, id engine.ConnID) { sh.Abort(id) },
	} {
		ended, _ := r.pair(ln)
		other, _ := r.pair(ln)
		ended.do(func(sh engine.Shard) {
			for k := range engine.NumTimers {
				sh.Arm(ended.id, k, soon)
			}
			end(sh, ended.id)
			sh.Arm(ended.id, engine.TimerRead, soon)
			sh.Arm(other.id, engine.TimerRead, later)
		})
		ended.closed()
		other.next(fired)
		if n := ended.pending(); n != 0 {
			t.Errorf("%d events after Closed", n)
		}
	}
}

// Three timers are due at once; the first ends the connection.
func testTimersEndTogether(t *testing.T, f Factory) {
	var abort bool // owned by the loop
	r := start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		switch {
		case e.kind != fired:
		case abort:
			sh.Abort(e.id)
		default:
			sh.Close(e.id, time.Millisecond)
		}
		return false
	})
	ln := r.listen(0)
	for _, cut := range []bool{false, true} {
		c, _ := r.pair(ln)
		c.do(func(sh engine.Shard) {
			abort = cut
			for k := range engine.NumTimers {
				sh.Arm(c.id, k, time.Millisecond)
			}
		})
		c.next(fired)
		c.closed()
	}
}

func testAsk(t *testing.T, f Factory) {
	const workers = 2
	r := start(t, f, Options{Workers: workers}, nil)
	c, peer := r.pair(r.listen(0))
	release := make(chan struct{})
	c.do(func(sh engine.Shard) {
		for i := range workers {
			if !sh.Ask(c.id, func() any { <-release; return i }) {
				t.Errorf("question %d was not taken", i)
			}
		}
		if sh.Ask(c.id, func() any { return "too many" }) {
			t.Error("the set of workers is not bounded")
		}
	})
	// A question that takes its time holds nothing else up.
	write(t, peer, "x")
	c.data(1)
	close(release)
	seen := map[any]bool{}
	for range workers {
		seen[c.next(answered).value] = true
	}
	if !seen[0] || !seen[1] {
		t.Errorf("answers %v", seen)
	}
	c.do(func(sh engine.Shard) {
		if !sh.Ask(c.id, func() any { return nil }) {
			t.Error("no worker came free")
		}
	})
	if v := c.next(answered).value; v != nil {
		t.Errorf("answer %v, want nil", v)
	}
}

func testAnswerDropped(t *testing.T, f Factory) {
	r := start(t, f, Options{Workers: 1}, nil)
	ln := r.listen(0)
	gone, peer := r.pair(ln)
	release := make(chan struct{})
	gone.do(func(sh engine.Shard) {
		if !sh.Ask(gone.id, func() any { <-release; return "late" }) {
			t.Error("the question was not taken")
		}
		sh.Abort(gone.id)
		if sh.Ask(gone.id, func() any { return nil }) {
			t.Error("a question was taken after Abort")
		}
	})
	wantReset(t, peer)
	gone.closed()
	heir, _ := r.pair(ln) // has the slot now
	close(release)
	// The only worker: once it is free, the answer was dropped or delivered.
	for took := false; !took; {
		heir.do(func(sh engine.Shard) { took = sh.Ask(heir.id, func() any { return "mine" }) })
	}
	if v := heir.next(answered).value; v != "mine" {
		t.Errorf("answer %v, want mine", v)
	}
}

func testPostOrder(t *testing.T, f Factory) {
	const n = 1000
	r := start(t, f, Options{Shards: 2}, nil)
	for i := range n {
		r.d.Post(i%2, i)
	}
	last := []int{-1, -1}
	inbox := conn{r, 0} // notices belong to no connection
	for range n {
		i := inbox.next(noticed).value.(int)
		if i <= last[i%2] {
			t.Fatalf("%d after %d", i, last[i%2])
		}
		last[i%2] = i
	}
}

func testPostWithin(t *testing.T, f Factory) {
	const n = 50
	var r *rig
	r = start(t, f, Options{}, func(sh engine.Shard, e event) bool {
		if i, ok := e.value.(int); e.kind == noticed && ok && i < n {
			r.d.Post(0, i+1)
			return true
		}
		if e.kind == received {
			r.d.Post(0, 0)
		}
		return false
	})
	c, peer := r.pair(r.listen(0))
	write(t, peer, "x")
	c.data(1)
	if v := (conn{r, 0}).next(noticed).value; v != n {
		t.Errorf("notice %v, want %d", v, n)
	}
}

func testPostAfterClose(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	r.d.Close()
	r.d.Post(0, "nobody is home")
	if n := (conn{r, 0}).pending(); n != 0 {
		t.Errorf("%d notices after Close", n)
	}
}
