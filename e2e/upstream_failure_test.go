package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// tolerant is a load of GETs that takes a 502 for an answer: the upstream is at fault.
func tolerant(bad *atomic.Int64) load {
	return func(l *ledger, addr string, quit <-chan struct{}, _ int) {
		w, err := connect(addr, patience)
		if err != nil {
			l.lose("dial: %v", err)
			return
		}
		defer func() { _ = w.Close() }()
		for {
			select {
			case <-quit:
				return
			default:
			}
			began := l.begin(w)
			a, err := w.ask(get("/"))
			switch {
			case err != nil:
				l.lose("exchange: %v", err)
				return
			case a.status == http.StatusBadGateway:
				bad.Add(1)
			case a.status != http.StatusOK:
				l.reject("status %d %q", a.status, a.body)
				return
			}
			l.complete(began)
			if a.leave {
				_ = w.Close()
				if w, err = connect(addr, patience); err != nil {
					l.lose("dial: %v", err)
					return
				}
			}
		}
	}
}

// TestUpstreamKilledAndRestartedUnderLoad: each request has a complete answer, 200 or
// 502, throughout; afterwards only 200.
func TestUpstreamKilledAndRestartedUnderLoad(t *testing.T) {
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1")})
	var bad atomic.Int64
	l, quit := newLedger(), make(chan struct{})
	wait := clients(16, s.web, l, quit, tolerant(&bad))
	var end sync.Once
	stop := func() { end.Do(func() { close(quit); wait() }) }
	t.Cleanup(stop)
	for range 3 {
		l.warm(t, l.total()+200)
		before := bad.Load()
		origin.kill(t)
		eventually(t, "requests are answered 502", func() bool { return bad.Load() > before+20 })
		origin.start(t)
	}
	eventually(t, "the upstream is in use again", func() bool {
		before := bad.Load()
		l.warm(t, l.total()+100)
		return bad.Load() == before
	})
	stop()
	if len(l.lost)+len(l.wrong) > 0 {
		t.Errorf("lost %q, wrong %q of %d", l.lost, l.wrong, l.done)
	}
	t.Logf("%d answers, %d of them 502", l.done, bad.Load())
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// forgetful is an upstream that answers the first request of a connection, and closes on
// the second without a word, as one does whose idle timeout runs out at that moment.
type forgetful struct {
	ln net.Listener

	mu    sync.Mutex // guards what follows
	heads []string   // request lines, in order of arrival
}

func newForgetful(t *testing.T) *forgetful {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forgetful{ln: ln}
	var running sync.WaitGroup
	running.Go(func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { f.talk(c) }) // ends after two requests, or with the proxy
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return f
}

func (f *forgetful) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for i := range 2 {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		f.mu.Lock()
		f.heads = append(f.heads, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		if i == 0 {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

func (f *forgetful) seen(head string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.heads {
		if h == head {
			n++
		}
	}
	return n
}

// TestStalePooledConnection: a GET that meets one is sent again on another; a POST, whose
// execution is uncertain, is answered 502 and never sent twice.
func TestStalePooledConnection(t *testing.T) {
	t.Parallel()
	f := newForgetful(t)
	addr := f.ln.Addr().String()
	s := serve(t, newUpstream(t), setup{policy: policyFor(addr, addr, "v1")})
	w, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.Close()
		_ = s.cmd.Process.Kill() // its pooled connections keep talk alive
	})
	ask := func(request string, want int) {
		t.Helper()
		if a, err := w.ask(request); err != nil || a.status != want {
			t.Errorf("status %d %v, want %d", a.status, err, want)
		}
	}
	ask(get("/first"), 200)  // fills the pool
	ask(get("/second"), 200) // stale, then a fresh one, which is pooled
	if n := f.seen("GET /second"); n != 2 {
		t.Errorf("the upstream saw the GET %d times, want 2: it was not stale, or not retried", n)
	}
	ask("POST /third HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 502)
	if n := f.seen("POST /third"); n != 1 {
		t.Errorf("the upstream saw the POST %d times, want once", n)
	}
	ask(get("/fourth"), 200)
}
