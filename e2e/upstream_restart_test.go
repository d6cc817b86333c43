package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// renewed is a Go upstream that restarts behind one listening socket, as one does whose
// socket is handed over: a new server takes what is accepted from now on, and the old one
// is shut down.
type renewed struct {
	ln      net.Listener
	leaving atomic.Bool // responses of the old server say Connection: close

	mu     sync.Mutex // guards what follows
	server *generation
	posts  map[string]int // how often each POST was executed
}

// generation is one server of a renewed, and the listener that feeds it.
type generation struct {
	http.Server
	conns chan net.Conn
	addr  net.Addr
	once  sync.Once
	gone  chan struct{} // closed by Close
	open  atomic.Int64
	done  chan struct{} // closed when Serve returned
}

func (g *generation) Accept() (net.Conn, error) {
	select {
	case c := <-g.conns:
		return c, nil
	case <-g.gone:
		return nil, net.ErrClosed
	}
}
func (g *generation) Close() error   { g.once.Do(func() { close(g.gone) }); return nil }
func (g *generation) Addr() net.Addr { return g.addr }

func newRenewed(t *testing.T) *renewed {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &renewed{ln: ln, posts: map[string]int{}}
	u.server = u.generation()
	var running sync.WaitGroup
	running.Go(func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			g := u.server
			u.mu.Unlock()
			select {
			case g.conns <- c:
			case <-g.gone: // it was replaced meanwhile: the next one takes it
				u.mu.Lock()
				u.server.conns <- c
				u.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
		_ = u.server.Server.Close()
		_ = u.server.Close()
		<-u.server.done
	})
	return u
}

func (u *renewed) generation() *generation {
	g := &generation{conns: make(chan net.Conn, 1024), addr: u.ln.Addr(), gone: make(chan struct{}), done: make(chan struct{})}
	g.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			u.mu.Lock()
			u.posts[r.URL.Path]++
			u.mu.Unlock()
		}
		u.mu.Lock()
		old := u.server != g
		u.mu.Unlock()
		if old && u.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, "ok")
	})
	g.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			g.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			g.open.Add(-1)
		}
	}
	go func() { // ends with Close; joined by restart or the cleanup
		_ = g.Serve(g)
		close(g.done)
	}()
	return g
}

// restart replaces the server. With announce the old one says goodbye on every response
// until its connections are used up, or a second is over; without, it closes what is idle.
func (u *renewed) restart(announce bool) {
	next := u.generation()
	u.leaving.Store(announce)
	u.mu.Lock()
	old := u.server
	u.server = next
	u.mu.Unlock()
	if announce {
		for end := time.Now().Add(time.Second); old.open.Load() > 0 && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond) // a pace, not a condition: its end is the loop's
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = old.Shutdown(ctx)
	_ = old.Close()
	<-old.done
}

// restartScore is what a proxy made of the restarts.
type restartScore struct{ gets, posts, badGets, badPosts, doubled int }

func (s restartScore) String() string {
	return fmt.Sprintf("GETs %d of %d, POSTs %d of %d failed, %d POSTs executed twice", s.badGets, s.gets, s.badPosts, s.posts, s.doubled)
}

// restarts loads the proxy at addr while the upstream restarts that often.
func (u *renewed) restarts(t *testing.T, addr string, times int, announce bool) (score restartScore) {
	t.Helper()
	quit := make(chan struct{}) // closed below, once the restarts are over
	var wg sync.WaitGroup
	var mu sync.Mutex // guards score
	for i := range 12 {
		wg.Go(func() { // ends with quit; joined below
			var w *wire
			defer func() {
				if w != nil {
					_ = w.Close()
				}
			}()
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				if w == nil {
					var err error
					if w, err = connect(addr, patience); err != nil {
						t.Errorf("dial: %v", err)
						return
					}
				}
				post := n%2 == 1
				request := get("/get")
				if post {
					request = fmt.Sprintf("POST /%s/%v/%d/%d HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 5\r\n\r\nhello", addr, announce, i, n)
				}
				a, err := w.ask(request)
				bad := err != nil || a.status != http.StatusOK
				if err != nil || a.leave {
					_ = w.Close()
					w = nil
				}
				mu.Lock()
				switch {
				case post && bad:
					score.badPosts++
				case bad:
					score.badGets++
				}
				if post {
					score.posts++
				} else {
					score.gets++
				}
				mu.Unlock()
			}
		})
	}
	for range times {
		time.Sleep(100 * time.Millisecond) // of load between two restarts
		u.restart(announce)
	}
	close(quit)
	wg.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range u.posts {
		if n > 1 {
			score.doubled++
		}
	}
	clear(u.posts)
	return score
}

// TestUpstreamRestarts: an upstream that announces its restart costs no request; one that
// just closes its idle connections costs no GET, and no POST is executed twice.
func TestUpstreamRestarts(t *testing.T) {
	times := 8
	if n, err := strconv.Atoi(os.Getenv("E2E_RESTARTS")); err == nil {
		times = n
	}
	u := newRenewed(t)
	addr := u.ln.Addr().String()
	s := serve(t, newUpstream(t), setup{policy: policyFor(addr, addr, "v1")})
	for _, announce := range []bool{true, false} {
		score := u.restarts(t, s.web, times, announce)
		t.Logf("sluice, announced %v: %v", announce, score)
		if score.badGets > 0 || score.doubled > 0 || announce && score.badPosts > 0 {
			t.Errorf("announced %v: %v", announce, score)
		}
		if score.gets < 100 || score.posts < 100 {
			t.Errorf("%v: hardly any load", score)
		}
	}
	if n, ok := s.metric(t, `sluice_upstream_retries_total{cluster="app",result="refused"}`); !ok || n > 0 {
		t.Errorf("the retry budget refused %v", n)
	}
	if os.Getenv("E2E_RESTARTS") != "" {
		restartPeers(t, u, times)
	}
}

// restartPeers measures how nginx and HAProxy, pooling upstream connections as we do, fare with the same.
func restartPeers(t *testing.T, u *renewed, times int) {
	up, dir := u.ln.Addr().String(), t.TempDir()
	front := freeAddress(t)
	write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log /dev/null;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	upstream up { server %[2]s max_fails=0; keepalive 64; }
	server { listen %[3]s; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://up; } }
}
`, dir, up, front))
	launch(t, nil, tool(t, "nginx"), "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	measurePeer(t, u, "nginx", front, times)
	front = freeAddress(t)
	write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Sprintf(`global
  maxconn 1000
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
  http-reuse always
  retry-on conn-failure empty-response
  retries 3
frontend f
  bind %s
  default_backend b
backend b
  http-request disable-l7-retry if METH_POST
  server s %s
`, front, up))
	launch(t, nil, tool(t, "haproxy"), "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	measurePeer(t, u, "haproxy", front, times)
}

func measurePeer(t *testing.T, u *renewed, name, addr string, times int) {
	eventually(t, name+" answers", func() bool {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	for _, announce := range []bool{true, false} {
		t.Logf("%s, announced %v: %v", name, announce, u.restarts(t, addr, times, announce))
	}
}
