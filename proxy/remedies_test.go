package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/portable"
)

// What each remedy of the stop is good for: with all of them a stop over loopback loses
// nothing, and with one switched off it loses what that one prevents. (A reset that overtakes
// a response needs a network with delays: the simulation has it, see its mutants.)
func TestEachRemedyPreventsALoss(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty stops and more")
	}
	for _, r := range []remedy{
		{name: "a handshake under way is not reset (SYN-shed)", closeListener: func(ln net.Listener) engine.ListenerEnd {
			ln.Close()
			return engine.ListenerEnd{}
		}},
		{name: "idle connections are not closed first", keep: true, faults: drain.Faults{IdleCloseFirst: true}},
		{name: "responses say goodbye", keep: true, faults: drain.Faults{GoodbyeNever: true}},
	} {
		t.Run(r.name, func(t *testing.T) {
			without, stops := int64(0), 0
			for ; stops < 20 && without == 0; stops++ { // a race is not lost every time
				without += r.stop(t, true)
			}
			with := int64(0)
			for range stops {
				with += r.stop(t, false)
			}
			t.Logf("%d stops without it: %d lost; as many with it: %d", stops, without, with)
			if without == 0 {
				t.Errorf("nothing was lost without it in %d stops", stops)
			}
			if with > 0 {
				t.Errorf("%d lost with it", with)
			}
		})
	}
}

// remedy is one that can be switched off, and the load that needs it.
type remedy struct {
	name          string
	keep          bool // the load keeps its connections
	closeListener func(net.Listener) engine.ListenerEnd
	faults        drain.Faults
}

// stop plays one stop under load and returns how many requests were sent without a whole answer.
func (r remedy) stop(t *testing.T, off bool) (lost int64) {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}))
	defer up.Close()
	driver, tracker := portable.Config{Shards: 2}, drain.Config{NoticeAfter: time.Millisecond}
	cfg := proxy.Config{Listeners: []proxy.ListenerConfig{{Name: "web", Address: "127.0.0.1:0"}}}
	if off {
		driver.CloseListener, tracker.Faults = r.closeListener, r.faults
	}
	tr := drain.New(tracker)
	s := proxy.NewServer(proxy.ServerConfig{Config: cfg, Driver: portable.New(driver), Tracker: tr})
	defer s.Close()
	doc, err := policy.Parse("policy.yaml", []byte(`
clusters: {app: {endpoints: ["`+up.Listener.Addr().String()+`"]}}
routes: [{name: all, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
`))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, err := range []error{err, s.Start(ctx), s.Apply(ctx, "v1", doc), s.Admit()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var done, gone atomic.Int64
	var running sync.WaitGroup
	for range 48 {
		running.Go(func() { // ends when refused, or lost
			if !posts(s.Addr("web").String(), r.keep, &done) {
				gone.Add(1)
			}
		})
	}
	for limit := time.Now().Add(10 * time.Second); done.Load() < 300 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	s.LameDuck()
	for n, limit := done.Load(), time.Now().Add(10*time.Second); done.Load() < n+100 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	limit := 30 * time.Second // it ends when everybody has left, however busy the machine is
	if off {
		limit = time.Second // nobody may leave at all
	}
	budget, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	if err := s.Drain(budget); err != nil {
		t.Error(err)
	}
	s.Close() // what is still there is cut
	running.Wait()
	return gone.Load()
}

// posts is one client in a closed loop; false: a request got no whole answer.
func posts(addr string, keep bool, done *atomic.Int64) bool {
	var c net.Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	var in *bufio.Reader
	for {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", addr, 5*time.Second); err != nil {
				return errors.Is(err, syscall.ECONNREFUSED)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			in = bufio.NewReader(c)
		}
		body := make([]byte, 8<<10)
		if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			return false
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 200 {
			return false
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(body)) {
			return false
		}
		done.Add(1)
		if resp.Close || !keep {
			c.Close()
			c = nil
		}
	}
}
