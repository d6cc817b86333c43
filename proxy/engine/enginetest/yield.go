package enginetest

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Listeners that another process holds too: they are left to it.

// twin is a second listener on the same socket, as a successor would have it.
func twin(t *testing.T, ln net.Listener) net.Listener {
	t.Helper()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var file *os.File
	if err := raw.Control(func(fd uintptr) { file = duplicate(fd) }); err != nil {
		t.Fatal(err)
	}
	if file == nil {
		t.Skip("no duplicates of sockets here")
	}
	defer file.Close()
	other, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return other
}

// After Yield nobody is accepted here, everybody who was had the call, and the other
// holder gets whoever comes; and the index is free.
func testYield(t *testing.T, f Factory) {
	const n = 20
	r := start(t, f, Options{Shards: 2}, nil)
	ln := listen(t)
	other := twin(t, ln)
	third := twin(t, ln)
	if err := r.d.Listen(3, ln); err != nil {
		t.Fatal(err)
	}
	for range n {
		dial(t, other)
	}
	r.await("all are accepted", func() bool { return r.all >= n })
	r.d.Yield(3)
	r.d.Yield(3)
	r.d.Yield(7) // never was
	peer := dial(t, other)
	nc, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	write(t, peer, "x")
	want(t, nc, "x")
	if got := r.acceptances(); got != n {
		t.Errorf("%d Accepted calls, want %d", got, n)
	}
	if err := r.d.Listen(3, third); err != nil {
		t.Fatalf("listen again: %v", err)
	}
	dial(t, other)
	r.await("it is accepted here again", func() bool { return r.all == n+1 })
}

// Two drivers accept from one socket while a client dials again and again; they yield by
// turns, always the one that the kernel wakes first. A connection that woke only the one
// that leaves must not be left in the queue: nobody would come for it until the next one,
// and this client makes no next one before it was served.
func testYieldStorm(t *testing.T, f Factory) {
	const rounds = 100
	answer := func(sh engine.Shard, e event) bool {
		if e.kind == accepted {
			sh.Send(e.id, []byte("!"))
			sh.Close(e.id, patience)
		}
		return e.kind != accepted
	}
	rigs := [2]*rig{start(t, f, Options{}, answer), start(t, f, Options{}, answer)}
	spare := listen(t) // never accepted from: it makes new listeners
	for _, r := range rigs {
		if err := r.d.Listen(0, twin(t, spare)); err != nil {
			t.Fatal(err)
		}
	}
	var served, lost atomic.Int64
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // ends with quit
		for {
			select {
			case <-quit:
				return
			default:
			}
			nc, err := net.DialTimeout("tcp", spare.Addr().String(), patience)
			if err != nil {
				lost.Add(1)
				return
			}
			_ = nc.SetDeadline(time.Now().Add(patience))
			if n, _ := nc.Read(make([]byte, 1)); n == 1 {
				served.Add(1)
			} else {
				lost.Add(1)
			}
			nc.Close()
		}
	})
	for i := range rounds {
		leaves, stays := rigs[i%2], rigs[1-i%2]
		leaves.d.Yield(0)
		after := stays.acceptances() + 2
		stays.await("the other goes on alone", func() bool { return stays.all >= after })
		if err := leaves.d.Listen(0, twin(t, spare)); err != nil {
			t.Fatal(err)
		}
	}
	close(quit)
	wg.Wait()
	if n := lost.Load(); n != 0 {
		t.Errorf("%d clients were left or reset, %d served", n, served.Load())
	}
}
