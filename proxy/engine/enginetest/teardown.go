package enginetest

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Driver.Close. The rig closes every driver and asks the referee whether each
// connection had its Closed; Run looks for goroutines. So these tests only make states.

func testCloseUnstarted(t *testing.T, f Factory) {
	d := f(Options{Shards: 1})
	d.Close()
	d.Close()
	ln := listen(t)
	if err := d.Listen(0, ln); err == nil {
		t.Error("a closed driver listens")
	}
}

func testCloseFromAnyState(t *testing.T, f Factory) {
	r := start(t, f, Options{Shards: 2, Workers: 2}, nil)
	ln := r.listen(0)
	deaf := deafAddr(t)
	began := time.Now()
	release := make(chan struct{})
	long := 4 * patience
	var conns []conn
	for _, enter := range []func(engine.Shard, engine.ConnID, *net.TCPConn){
		func(engine.Shard, engine.ConnID, *net.TCPConn) {}, // idle
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.Pause(id) },
		func(sh engine.Shard, id engine.ConnID, peer *net.TCPConn) { // data in hand, not deliverable
			sh.Pause(id)
			write(t, peer, "unheard")
		},
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.Send(id, fill(32<<20)) },
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.CloseWrite(id) },
		func(_ engine.Shard, _ engine.ConnID, peer *net.TCPConn) { finish(t, peer) },
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.Close(id, long) },
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.Send(id, fill(32<<20)); sh.Close(id, long) },
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.Abort(id) },
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) { sh.Arm(id, engine.TimerRead, long) },
		func(sh engine.Shard, id engine.ConnID, _ *net.TCPConn) {
			sh.Ask(id, func() any { <-release; return 1 })
		},
	} {
		c, peer := r.pair(ln)
		c.do(func(sh engine.Shard) { enter(sh, c.id, peer) })
		conns = append(conns, c)
	}
	conns = append(conns, r.dial(0, deaf, long), r.dial(1, deaf, long))

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(r.d.Close) // a second Close waits as well
	}
	// Close waits for the question that is out; it must have an end of its own.
	close(release)
	wg.Wait()
	if took := time.Since(began); took >= long {
		t.Errorf("took %v: it waited for a deadline of a connection", took)
	}
	for _, c := range conns {
		r.mu.Lock()
		events := r.events[c.id]
		r.mu.Unlock()
		if n := len(events); n == 0 || events[n-1].kind != closed {
			t.Errorf("connection %#x: %v, want Closed at the end", c.id, events)
		}
	}
	if err := r.d.Listen(1, listen(t)); err == nil {
		t.Error("a closed driver listens")
	}
}

func testCloseUnderLoad(t *testing.T, f Factory) {
	down := [2]map[engine.ConnID]bool{{}, {}} // accepted; each owned by its loop
	r := start(t, f, Options{Shards: 2}, func(sh engine.Shard, e event) bool {
		if e.kind == accepted {
			down[sh.Index()][e.id] = true
		}
		mine := down[sh.Index()]
		if e.kind == closed && mine[e.id] {
			// A handler that answers one connection because another was lost, or opens
			// one, even then: it cannot know that the driver is closing.
			sh.Dial("127.0.0.1:1", time.Second)
			delete(mine, e.id)
			for other := range mine {
				sh.Send(other, []byte("502"))
				sh.Arm(other, engine.TimerRead, time.Millisecond)
			}
		}
		if e.kind == eof { // echo answers it by CloseWrite
			delete(mine, e.id)
		}
		return e.kind != accepted && (echo(sh, e) || e.kind == closed || e.kind == dialed || e.kind == fired)
	})
	ln := r.listen(0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { // ends when the driver is gone
			for {
				nc, err := net.DialTimeout("tcp", ln.Addr().String(), patience)
				if err != nil {
					return
				}
				_ = nc.SetDeadline(time.Now().Add(patience))
				_, _ = nc.Write([]byte("ping"))
				_, _ = nc.Read(make([]byte, 4))
				nc.Close()
			}
		})
	}
	r.await("load", func() bool { return r.all >= 100 })
	r.d.Close()
	wg.Wait()
}
