package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// G3 over HTTP/2: clients stay through restarts behind a balancer, with bodies that cannot be sent twice, and
// calls of gRPC. Nothing is tried again but by what the libraries do unasked.

// h2Posts is one of Go's two transports: four callers share its connections. A dial that is refused ends its caller.
func h2Posts(l *ledger, addr string, quit <-chan struct{}, client int) {
	plain, secure := strings.CutPrefix(addr, overTLS)
	scheme := "http"
	if secure {
		scheme = "https"
	}
	name := []string{"net/http", "x/net"}[(client+client/2)%2]
	load := postLoads.Add(1)
	h := &http.Client{Timeout: patience, Transport: h2ClientsBy(l.dial, secure)[name]}
	defer h.CloseIdleConnections()
	clients(4, scheme+"://"+plain, l, quit, func(l *ledger, url string, quit <-chan struct{}, caller int) {
		body := strings.Repeat(strconv.Itoa(caller), 100+caller*9001)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			default:
			}
			began := time.Now()
			id := fmt.Sprintf("post-%d-%d-%d", load, caller, n)
			switch err := h2Post(h, url, id, body); {
			case err == nil:
				l.complete(began)
			case errors.Is(err, syscall.ECONNREFUSED):
				return
			case strings.Contains(err.Error(), cannotRewind):
				l.mu.Lock()
				l.own = append(l.own, id)
				l.mu.Unlock()
			default:
				l.lose("%s: %s: %v", name, id, err)
				return
			}
		}
	})()
}

// postLoads counts the clients of h2Posts, so that no two posts have one name.
var postLoads atomic.Int64

// cannotRewind is what net/http says of a request that it gave to a connection at the moment when that one heard the
// goodbye: the connection did not take it but closed its body, so that it cannot be given to another.
const cannotRewind = "cannot rewind body after connection loss"

// dial is that of a library; one that is refused is counted.
func (l *ledger) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if errors.Is(err, syscall.ECONNREFUSED) {
		l.refuse()
	}
	return c, err
}

// neverSent asserts that what a library failed by itself reached nobody.
func (l *ledger) neverSent(t *testing.T, up *upstream) {
	t.Helper()
	for _, id := range l.sentAfterAll(up) {
		t.Errorf("%s: its client says that it was not sent, and the upstream has it", id)
	}
	if len(l.own) > 0 {
		t.Logf("%d posts of %d failed in the library before they were sent", len(l.own), l.done)
	}
}

// sentAfterAll are the requests that a library failed by itself, and that an upstream has seen all the same.
func (l *ledger) sentAfterAll(up *upstream) (ids []string) {
	seen := map[string]bool{}
	for _, v := range up.log("/echo") {
		seen[v.head.Get("X-Call")] = true
	}
	for _, id := range l.own {
		if seen[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// h2Post sends a body that the library cannot send twice.
func h2Post(h *http.Client, url, id, body string) error {
	req, err := http.NewRequest(http.MethodPost, url+"/echo", struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		return err
	}
	req.Host = edge().name
	req.Header.Set("X-Call", id)
	resp, err := h.Do(req)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && (resp.StatusCode != 200 || string(got) != body) {
		err = fmt.Errorf("status %d, %d bytes of %d", resp.StatusCode, len(got), len(body))
	}
	return err
}

// h2Mixed is a policy with an upstream for calls and one for bodies, both by HTTP/2 unless posts says otherwise.
func h2Mixed(origin, posts, server string) string {
	return fmt.Sprintf(`clusters:
  app: {endpoints: [%q], protocol: %s}
  calls: {endpoints: [%q], protocol: http2}
routes:
- {name: open, path: {prefix: /}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: calls, path: {prefix: /grpc.testing.TestService}, cluster: calls, policy: [{allow: {and: [{accept: true}]}}]}
tcp_routes: [{listener: raw, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
`, origin, posts, server)
}

// TestG3HTTP2ThroughRestarts restarts the two instances behind a balancer in turns.
func TestG3HTTP2ThroughRestarts(t *testing.T) {
	server := grpcServer(t)
	up := newUpstream(t)
	origin := newOrigin(t, up.handler())
	veil, _ := secure(t, "")
	for _, tt := range []struct {
		name, posts, mark string
		c                 setup
	}{{"in the clear", "http1", "", setup{}}, {"TLS", "http2", overTLS, veil}} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.policy = h2Mixed(origin, tt.posts, server)
			b := newBalancer(t, 10*time.Millisecond)
			begin := func() *sluice {
				s := serve(t, up, tt.c)
				b.admit(&instance{web: s.web, probes: s.probes})
				return s
			}
			pair := []*sluice{begin(), begin()}
			door := tt.mark + b.open(t, "127.0.0.1:0", func(in *instance) string { return in.web })
			l, quit := newLedger(), make(chan struct{})
			wait := clients(4, door, l, quit, h2Posts)
			joined := false
			join := func() {
				if !joined {
					joined = true
					close(quit)
					wait()
				}
			}
			t.Cleanup(join)
			calls := grpcLoad(t, door)
			calls.more(t, 10)
			l.warm(t, 100)
			for i := range stops(t) {
				old := pair[i%2]
				pair[i%2] = begin()
				old.signal(t, syscall.SIGTERM)
				if code := old.exit(t, patience); code != 0 {
					t.Errorf("stop %d: exit code %d", i+1, code)
				}
				if r := old.receipt(t); r.CutTotal+r.StuckTotal+r.Exchanges.Interrupted+r.Exchanges.Failed != 0 {
					t.Errorf("stop %d: the receipt has %d cut, %d stuck, %+v", i+1, r.CutTotal, r.StuckTotal, r.Exchanges)
				}
			}
			r := calls.finish(t)
			join()
			l.neverSent(t, up)
			if refused := int(b.refused.Load()) + l.refused + r.Refused; len(l.lost)+len(l.wrong)+len(r.Failed)+refused > 0 {
				t.Errorf("%d posts of %d lost: %q; calls: %q; %d dials refused", len(l.lost), l.done, l.lost, r.Failed, refused)
			}
			t.Logf("%d stops: %d posts, %d unary calls, %d streams, 0 lost; connections of each channel: %v", stops(t), l.done, r.Unary, r.Streams, r.Connections)
		})
	}
}
