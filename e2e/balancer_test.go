package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// balancer is a balancer at layer 4 that honours readiness: it asks each instance, sends new
// connections only to those that are ready, in turns, and never tries twice.
type balancer struct {
	pollEvery time.Duration
	late      time.Duration // after which it acts on what it saw

	mu        sync.Mutex // guards what follows
	instances []*instance
	next      int

	running sync.WaitGroup
	quit    chan struct{} // closed by close
	doors   []net.Listener

	refused atomic.Int64 // dials to an instance
	slowest atomic.Int64 // of those dials, in nanoseconds
	slow    atomic.Int64 // over 100 ms
	dials   atomic.Int64
}

// instance is one proxy behind a balancer.
type instance struct {
	web, raw, probes string
	veil             string // by TLS; empty: it has no such listener
	ready            bool
	out              bool // it said that it is not ready any more: it is never asked again
}

// newBalancer sends to instances, which are ready when it is made.
func newBalancer(t *testing.T, pollEvery time.Duration, instances ...*instance) *balancer {
	t.Helper()
	b := &balancer{pollEvery: pollEvery, quit: make(chan struct{})}
	for _, in := range instances {
		b.admit(in)
	}
	t.Cleanup(b.close)
	return b
}

// admit adds an instance, which is ready.
func (b *balancer) admit(in *instance) {
	in.ready = true
	b.mu.Lock()
	b.instances = append(b.instances, in)
	b.mu.Unlock()
	b.running.Go(func() { b.poll(in) }) // ends with quit, or once the instance is out
}

// open begins to accept on an address, for the port of an instance that to chooses.
func (b *balancer) open(t *testing.T, addr string, to func(*instance) string) string {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	b.doors = append(b.doors, ln)
	b.running.Go(func() { // ends when the door is closed
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.running.Go(func() { b.carry(c.(*net.TCPConn), to) }) // ends with the connection
		}
	})
	return ln.Addr().String()
}

// close ends it. Its clients have left by then.
func (b *balancer) close() {
	select {
	case <-b.quit:
		return
	default:
	}
	close(b.quit)
	for _, d := range b.doors {
		_ = d.Close()
	}
	b.running.Wait()
}

func (b *balancer) poll(in *instance) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(b.pollEvery)
	defer tick.Stop()
	for {
		resp, err := client.Get("http://" + in.probes + "/readyz")
		ready := err == nil && resp.StatusCode == http.StatusOK
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if !ready {
			select {
			case <-time.After(b.late):
			case <-b.quit:
				return
			}
			b.mu.Lock()
			in.ready, in.out = false, true
			b.mu.Unlock()
			return
		}
		select {
		case <-tick.C:
		case <-b.quit:
			return
		}
	}
}

// pick is the next instance that is ready; nil: none is.
func (b *balancer) pick() *instance {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.instances {
		b.next = (b.next + 1) % len(b.instances)
		if in := b.instances[b.next]; in.ready {
			return in
		}
	}
	return nil
}

func (b *balancer) carry(c *net.TCPConn, to func(*instance) string) {
	defer c.Close()
	in := b.pick()
	if in == nil {
		b.refused.Add(1)
		return
	}
	began := time.Now()
	u, err := net.DialTimeout("tcp", to(in), patience)
	took := time.Since(began)
	b.dials.Add(1)
	if took > 100*time.Millisecond {
		b.slow.Add(1)
	}
	for {
		old := b.slowest.Load()
		if int64(took) <= old || b.slowest.CompareAndSwap(old, int64(took)) {
			break
		}
	}
	if err != nil {
		b.refused.Add(1)
		return
	}
	up := u.(*net.TCPConn)
	defer up.Close()
	var back sync.WaitGroup
	back.Go(func() { pass(c, up) }) // ends with the direction
	pass(up, c)
	back.Wait()
}

// pass carries one direction, and its end as what it was: FIN as FIN, a reset as a reset.
func pass(dst, src *net.TCPConn) {
	_, err := io.Copy(dst, src)
	if errors.Is(err, syscall.ECONNRESET) {
		_ = dst.SetLinger(0)
		_ = dst.Close()
		return
	}
	_ = dst.CloseWrite()
}
