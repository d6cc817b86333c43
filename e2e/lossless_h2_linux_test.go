package e2e

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// The newer protocols in the load of the restarts.

// backends are what stands behind the proxies of a restart.
type backends struct {
	*upstream
	posts   string // the same, by HTTP/1.1 and by HTTP/2
	calls   string // of gRPC
	sockets *sockets
}

// newBackends starts them; WebSockets of theirs are to be closed with a code.
func newBackends(t *testing.T, code int) *backends {
	t.Helper()
	up := newUpstream(t)
	b := &backends{upstream: up, posts: newOrigin(t, up.handler()), calls: grpcServer(t), sockets: newSockets(t)}
	b.sockets.pace, b.sockets.want = losslessPace(), code
	return b
}

// addresses are where the proxies dial them.
func (b *backends) addresses() []string {
	return []string{b.web, b.raw, b.posts, b.calls, b.sockets.addr}
}

// policy lets everybody through to them.
func (b *backends) policy(r restart) string {
	posts, drain := "http1", "drain: {close_at: start}, "
	if r.H2Posts {
		posts = "http2"
	}
	if r.Late || r.Defaults {
		drain = ""
	}
	return fmt.Sprintf(`clusters:
  app: {endpoints: [%q]}
  echo: {endpoints: [%q]}
  posts: {endpoints: [%q], protocol: %s}
  calls: {endpoints: [%q], protocol: http2}
  sockets: {endpoints: [%q]}
routes:
- {name: app, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: posts, path: {exact: /echo}, cluster: posts, policy: [{allow: {and: [{accept: true}]}}]}
- {name: calls, path: {prefix: /grpc.testing.TestService}, cluster: calls, policy: [{allow: {and: [{accept: true}]}}]}
- {name: sockets, path: {prefix: /socket}, cluster: sockets, %spolicy: [{allow: {and: [{accept: true}]}}]}
tcp_routes: [{listener: raw, cluster: echo, policy: [{allow: {and: [{accept: true}]}}]}]
`, b.web, b.raw, b.posts, posts, b.calls, b.sockets.addr, drain)
}

// callers are two programs of grpc-go, one in the clear by IPv4 and one with TLS by IPv6.
type callers []*grpcProgram

func embarkCallers(t *testing.T, web, veil string) (c callers) {
	t.Helper()
	for _, addr := range []string{on("127.0.0.1", web), overTLS + on("::1", veil)} {
		c = append(c, grpcLoad(t, addr, "-channels", "1", "-pace", losslessPace().String()))
	}
	return c
}

// more waits for n more calls of each kind, of each program.
func (c callers) more(t *testing.T, n int) {
	t.Helper()
	for _, g := range c {
		g.more(t, n)
	}
}

// join ends the calls and adds what became of them.
func (c callers) join(t *testing.T, o *restarted) {
	t.Helper()
	for _, g := range c {
		r := g.finish(t)
		o.Done["gRPC unary"] += r.Unary
		o.Done["gRPC streams"] += r.Streams
		o.Refused += r.Refused
		for _, failed := range r.Failed {
			o.Lost = append(o.Lost, "gRPC: "+failed)
		}
	}
}

// losslessPace is the rest of a client between two exchanges, and of a WebSocket between two messages: so many clients would
// keep a machine so busy that a restart takes three times as long.
func losslessPace() time.Duration { return slower(40 * time.Millisecond) }

// slowerCount is of how many exchanges something consists that is to take as long at a slower pace.
func slowerCount(n int) int {
	return max(2, int(time.Duration(n)*time.Millisecond/slower(time.Millisecond)))
}

// slower is the pace of a client in a campaign of many restarts, which may ask for longer rests: what it is about is how
// often something restarts, and a machine can do that the oftener the less its clients do in between.
func slower(d time.Duration) time.Duration { return d * time.Duration(restFactor()) }

// grown is how long the proxy gives such clients. A rest of 40 ms is far below an idle_close of 500 ms, so that half the
// factor leaves more room than there was.
func grown(d time.Duration) time.Duration { return d * time.Duration(max(1, restFactor()/2)) }

func restFactor() int {
	if n, err := strconv.Atoi(os.Getenv("E2E_LOSSLESS_SLOWER")); err == nil && n > 0 {
		return n
	}
	return 1
}
