package enginetest

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// Listeners: how they are left, and what accept survives.

func testUnlistenJoins(t *testing.T, f Factory) {
	const n = 50
	r := start(t, f, Options{Shards: 2}, nil)
	ln := r.listen(3)
	for range n {
		dial(t, ln)
	}
	end := r.d.Unlisten(3)
	if got := r.acceptances(); got != n {
		t.Errorf("%d Accepted calls when Unlisten returned, want %d", got, n)
	}
	if end.Residue != 0 {
		t.Errorf("end %+v, want nothing left over", end)
	}
	if nc, err := net.DialTimeout("tcp", ln.Addr().String(), patience); err == nil {
		nc.Close()
		t.Error("the listener is still open")
	}
}

// held is a listener whose Accept has a connection and is late to return it.
type held struct {
	net.Listener
	taken, release, closed chan struct{} // each closed once: by Accept, the test, Close
	once                   sync.Once
}

func (h *held) Accept() (net.Conn, error) {
	nc, err := h.Listener.Accept()
	if err == nil {
		close(h.taken)
		<-h.release
	}
	return nc, err
}

func (h *held) Close() error {
	err := h.Listener.Close()
	h.once.Do(func() { close(h.closed) })
	return err
}

// The moment between accept's return and Accepted belongs to the listener too.
func testUnlistenWaits(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	ln := &held{Listener: listen(t), taken: make(chan struct{}), release: make(chan struct{}), closed: make(chan struct{})}
	if err := r.d.Listen(0, ln); err != nil {
		t.Fatal(err)
	}
	dial(t, ln)
	<-ln.taken
	done := make(chan int)
	go func() { // ends with Unlisten
		r.d.Unlisten(0)
		done <- r.acceptances()
	}()
	<-ln.closed
	for range 100 { // time for an Unlisten that does not wait
		r.do(0, func(engine.Shard) {})
	}
	close(ln.release)
	if n := <-done; n != 1 {
		t.Errorf("%d Accepted calls when Unlisten returned, want 1", n)
	}
}

// Clients dial as fast as they can while the listener goes: whoever got through is
// served, everybody else is refused, nobody is reset.
func testUnlistenStorm(t *testing.T, f Factory) {
	const dialers, before = 8, 200
	r := start(t, f, Options{Shards: 2}, func(sh engine.Shard, e event) bool {
		if e.kind == accepted {
			sh.Send(e.id, []byte("!"))
			sh.Close(e.id, patience)
		}
		return e.kind != accepted
	})
	ln := r.listen(0)
	var served, lost atomic.Int64
	var wg sync.WaitGroup
	for range dialers {
		wg.Go(func() { // ends with the first dial that fails
			for {
				nc, err := net.DialTimeout("tcp", ln.Addr().String(), patience)
				if err != nil {
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
	}
	r.await("storm", func() bool { return r.all >= before })
	end := r.d.Unlisten(0)
	atReturn := r.acceptances()
	wg.Wait()
	if got := r.acceptances(); got != atReturn {
		t.Errorf("%d Accepted calls after Unlisten returned", got-atReturn)
	}
	if int64(atReturn) != served.Load() {
		t.Errorf("%d accepted, %d served", atReturn, served.Load())
	}
	if !end.Proven {
		t.Logf("the close is unproven here: %s", end.Reason)
		return
	}
	if n := lost.Load(); n != 0 || end.Residue != 0 {
		t.Errorf("%d clients were reset, %+v", n, end)
	}
}

func testUnlistenTwice(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	r.listen(0)
	busy := listen(t)
	if err := r.d.Listen(0, busy); err == nil {
		t.Error("two listeners have one index")
	}
	r.d.Unlisten(0)
	r.d.Unlisten(0)
	r.d.Unlisten(7) // never was
	c, peer := r.pair(r.listen(0))
	write(t, peer, "x")
	c.data(1)
}

func testOutlivesListener(t *testing.T, f Factory) {
	r := start(t, f, Options{}, nil)
	c, peer := r.pair(r.listen(0))
	r.d.Unlisten(0)
	write(t, peer, "x")
	c.data(1)
	c.send([]byte("y"))
	want(t, peer, "y")
}

// starved is a listener whose process has no descriptor left.
type starved struct {
	net.Listener
	mu    sync.Mutex // guards what follows
	fails int        // accepts that still fail
	tries []time.Time
}

func (s *starved) Accept() (net.Conn, error) {
	s.mu.Lock()
	s.tries = append(s.tries, time.Now())
	fails := s.fails > 0
	s.fails--
	s.mu.Unlock()
	if fails {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func testAcceptBackOff(t *testing.T, f Factory) {
	const fails = 4
	var told atomic.Int32
	r := start(t, f, Options{AcceptError: func(index int, err error) {
		if index != 5 || err == nil {
			t.Errorf("AcceptError(%d, %v)", index, err)
		}
		told.Add(1)
	}}, nil)
	ln := &starved{Listener: listen(t), fails: fails}
	if err := r.d.Listen(5, ln); err != nil {
		t.Fatal(err)
	}
	c, peer := r.pair(ln)
	write(t, peer, "x")
	c.data(1)
	if n := told.Load(); n != fails {
		t.Errorf("%d failures reported, want %d", n, fails)
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for i := range fails {
		if gap := ln.tries[i+1].Sub(ln.tries[i]); gap < time.Millisecond {
			t.Errorf("try %d after %v: accept spins", i+1, gap)
		}
	}
}

func testUnlistenEndsBackOff(t *testing.T, f Factory) {
	failed := make(chan struct{}, 1<<10)
	r := start(t, f, Options{AcceptError: func(int, error) {
		select {
		case failed <- struct{}{}:
		default:
		}
	}}, nil)
	if err := r.d.Listen(0, &starved{Listener: listen(t), fails: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-failed
	}
	began := time.Now()
	r.d.Unlisten(0)
	if took := time.Since(began); took > patience {
		t.Errorf("took %v", took)
	}
}
