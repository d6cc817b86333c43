package e2e

import (
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The endpoint rules of Kubernetes, played in front of real processes: what the readiness probe asks decides whether
// the last pod that is left still gets connections while it leaves.

// endpoint is a pod as an EndpointSlice has it.
type endpoint struct {
	web, probes string
	serving     bool // its readiness probe says yes
	terminating bool // it was deleted
}

// endpoints are a service of one node's kube-proxy: ready ones in turns; where there is none, those that terminate and
// serve (KEP-1669).
type endpoints struct {
	probe string // path of the readiness probe
	late  time.Duration

	mu   sync.Mutex // guards what follows
	list []*endpoint
	next int

	door    net.Listener
	quit    chan struct{} // closed by the test's end
	running sync.WaitGroup
}

func newEndpoints(t *testing.T, probe string, late time.Duration) *endpoints {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoints{probe: probe, late: late, door: ln, quit: make(chan struct{})}
	e.running.Go(func() { // ends when the door is closed
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.running.Go(func() { e.carry(c.(*net.TCPConn)) }) // ends with the connection
		}
	})
	t.Cleanup(func() {
		close(e.quit)
		_ = ln.Close()
		e.running.Wait()
	})
	return e
}

// admit adds a pod and begins to probe it, with periodSeconds 0.1 and failureThreshold 1.
func (e *endpoints) admit(web, probes string) *endpoint {
	p := &endpoint{web: web, probes: probes}
	e.mu.Lock()
	e.list = append(e.list, p)
	e.mu.Unlock()
	e.running.Go(func() { // ends with quit
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			resp, err := client.Get("http://" + p.probes + e.probe)
			if err == nil {
				_ = resp.Body.Close()
			}
			e.after(e.late, func() { p.serving = err == nil && resp.StatusCode == http.StatusOK })
			select {
			case <-tick.C:
			case <-e.quit:
				return
			}
		}
	})
	return p
}

// remove is what the API server does with a pod that is deleted, beside the SIGTERM of the kubelet.
func (e *endpoints) remove(p *endpoint) { e.after(e.late, func() { p.terminating = true }) }

// after changes what kube-proxy knows, late.
func (e *endpoints) after(d time.Duration, change func()) {
	e.running.Go(func() { // ends within d
		select {
		case <-time.After(d):
		case <-e.quit:
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		change()
	})
}

func (e *endpoints) pick() *endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, terminating := range []bool{false, true} {
		for range e.list {
			e.next = (e.next + 1) % len(e.list)
			if p := e.list[e.next]; p.serving && p.terminating == terminating {
				return p
			}
		}
	}
	return nil
}

func (e *endpoints) carry(c *net.TCPConn) {
	defer c.Close()
	p := e.pick()
	if p == nil {
		_ = c.SetLinger(0) // kube-proxy rejects
		return
	}
	u, err := net.DialTimeout("tcp", p.web, patience)
	if err != nil {
		_ = c.SetLinger(0)
		return
	}
	up := u.(*net.TCPConn)
	defer up.Close()
	var back sync.WaitGroup
	back.Go(func() { pass(c, up) }) // ends with the direction
	pass(up, c)
	back.Wait()
}

// knock asks once on a connection of its own, every 10 ms, until stop is closed, and says how often it
// was answered and how often not.
func (e *endpoints) knock(stop <-chan struct{}) (answered, failed int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		w, err := connect(e.door.Addr().String(), patience)
		if err == nil {
			var a answer
			a, err = w.ask(get("/each"))
			_ = w.Close()
			if err == nil && a.status != http.StatusOK {
				failed++
			} else if err == nil {
				answered++
			}
		}
		if err != nil {
			failed++
		}
		select {
		case <-stop:
			return answered, failed
		case <-tick.C:
		}
	}
}

// TestEndpointRules: one replica is replaced, its successor being started when it is told to stop. Readiness by
// /servingz, as in deploy/kubernetes, loses nothing; by /readyz there is nobody left to fall back to.
func TestEndpointRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		probe string
		loses bool
	}{{"/servingz", false}, {"/readyz", true}} {
		t.Run(c.probe[1:], func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			duck := setup{lameDuck: "{min: 4s, max: 6s, quiet: 1s, notice_after: 100ms}"}
			old := serve(t, up, duck)
			e := newEndpoints(t, c.probe, 200*time.Millisecond)
			pod := e.admit(old.web, old.probes)
			eventually(t, "the pod to be in the service", func() bool { return e.pick() != nil })
			stop, done := make(chan struct{}), make(chan struct{})
			answered, failed := 0, 0
			go func() { // ends with stop
				defer close(done)
				answered, failed = e.knock(stop)
			}()
			began := time.Now()
			e.remove(pod)
			old.signal(t, syscall.SIGTERM)
			old.await(t, "the lame duck", msg("lame duck: not ready, still accepting"))
			for time.Since(began) < 1200*time.Millisecond { // the time that scheduling and pulling take
				if code, _ := old.probe(t, "/livez"); code != http.StatusOK {
					t.Errorf("livez %d in the lame duck", code)
				}
			}
			next := serve(t, up, duck)
			successor := e.admit(next.web, next.probes)
			eventually(t, "the successor to be in the service", func() bool { return e.pick() == successor })
			old.exit(t, patience)
			close(stop)
			<-done
			t.Logf("%d answered, %d not", answered, failed)
			if lost := failed > 0; lost != c.loses || answered == 0 {
				t.Errorf("%d answered, %d not; want some to be lost: %v", answered, failed, c.loses)
			}
		})
	}
}
