package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/portable"
)

// onEveryDriver runs f with each of the real drivers of this system.
func onEveryDriver(t *testing.T, f func(t *testing.T, newDriver driverMaker)) {
	for name, newDriver := range drivers() {
		t.Run(name, func(t *testing.T) { f(t, newDriver) })
	}
}

// driverMaker makes a driver with that many shards.
type driverMaker func(t *testing.T, shards int) engine.Driver

func newPortable(_ *testing.T, shards int) engine.Driver {
	return portable.New(portable.Config{Shards: shards})
}

// serve runs a whole proxy on loopback in front of the given upstream.
func serve(t *testing.T, newDriver driverMaker, up string) (s *proxy.Server, tracker *drain.Tracker, addr string) {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", []byte(`
clusters: {app: {endpoints: ["`+up+`"]}}
routes:
- {name: all, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: none, path: {prefix: /closed}, cluster: app}
tcp_routes:
- {listener: db, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	tracker = drain.New(drain.Config{})
	s = proxy.NewServer(proxy.ServerConfig{
		Config: proxy.Config{Listeners: []proxy.ListenerConfig{
			{Name: "web", Address: "127.0.0.1:0"}, {Name: "db", Address: "127.0.0.1:0", Protocol: proxy.TCP}}},
		Driver: newDriver(t, 2), Tracker: tracker,
	})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Apply(context.Background(), "v1", doc); err != nil {
		t.Fatal(err)
	}
	if err := s.Admit(); err != nil {
		t.Fatal(err)
	}
	return s, tracker, s.Addr("web").String()
}

func TestServerOverLoopback(t *testing.T) { onEveryDriver(t, serverOverLoopback) }

func serverOverLoopback(t *testing.T, newDriver driverMaker) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d %s", r.Method, r.URL, len(b), r.Header.Get("X-Forwarded-For"))
	}))
	defer up.Close()
	_, _, addr := serve(t, newDriver, up.Listener.Addr().String())
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	resp, err := c.Post("http://"+addr+"/a/../b?x=1", "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if got, want := string(b), "POST /b?x=1 1048576 127.0.0.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	resp, err = c.Get("http://" + addr + "/closed/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("a route without policy answered %d", resp.StatusCode)
	}
}

// TestDrainUnderLoadLosesNothing is the whole point, in small: closed-loop clients
// with POST bodies, half on keep-alive, half with a connection for each request.
func TestDrainUnderLoadLosesNothing(t *testing.T) { onEveryDriver(t, drainUnderLoadLosesNothing) }

func drainUnderLoadLosesNothing(t *testing.T, newDriver driverMaker) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	defer up.Close()
	for range 5 {
		s, _, addr := serve(t, newDriver, up.Listener.Addr().String())
		var wg sync.WaitGroup
		var done, lost, refused atomic.Int64
		for i := range 32 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var nc net.Conn
				var br *bufio.Reader
				for {
					if nc == nil {
						var err error
						if nc, err = net.DialTimeout("tcp", addr, 300*time.Millisecond); err != nil {
							refused.Add(1)
							return
						}
						br = bufio.NewReader(nc)
					}
					fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
					resp, err := http.ReadResponse(br, nil)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
					}
					if err != nil || resp.StatusCode != 200 {
						lost.Add(1)
						t.Log(err)
						nc.Close()
						return
					}
					done.Add(1)
					if resp.Close || i%2 == 0 {
						nc.Close()
						nc = nil
					}
				}
			}()
		}
		for done.Load() < 500 {
			time.Sleep(time.Millisecond)
		}
		s.LameDuck()
		for n := done.Load(); done.Load() < n+200; {
			time.Sleep(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		if err := s.Drain(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		wg.Wait()
		if r := s.Receipt(); lost.Load() > 0 || !r.Clean() {
			t.Errorf("%d done, %d lost, %d refused\n%s", done.Load(), lost.Load(), refused.Load(), r)
		}
		s.Close()
	}
}

// A stop while starting waits for those who never finished their request only as long
// as the drain may last.
func TestDrainOfAStartEndsWithItsContext(t *testing.T) {
	onEveryDriver(t, drainOfAStartEndsWithItsContext)
}

func drainOfAStartEndsWithItsContext(t *testing.T, newDriver driverMaker) {
	s := proxy.NewServer(proxy.ServerConfig{
		Config: proxy.Config{Listeners: []proxy.ListenerConfig{{Name: "web", Address: "127.0.0.1:0"}}},
		Driver: newDriver(t, 1), Tracker: drain.New(drain.Config{}),
	})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", s.Addr("web").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost:")
	for s.Unadmitted() == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the drain took %v of 500ms", took)
	}
}

// Pooled upstream connections end in good order, not by a reset.
func TestIdleUpstreamsHearFIN(t *testing.T) { onEveryDriver(t, idleUpstreamsHearFIN) }

func idleUpstreamsHearFIN(t *testing.T, newDriver driverMaker) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan error, 1)
	go func() { // ends with the connection
		c, err := ln.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err == nil {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		_, err = io.ReadAll(in)
		ended <- err
	}()
	s, _, addr := serve(t, newDriver, ln.Addr().String())
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := <-ended; err != nil {
		t.Errorf("the upstream's idle connection ended by %v, want FIN", err)
	}
}
