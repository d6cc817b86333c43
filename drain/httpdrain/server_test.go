package httpdrain_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/drain/httpdrain"
	"github.com/sluiceproxy/sluice/internal/synshed"
)

// rig is a server that runs.
type rig struct {
	*httpdrain.Server
	addr    string
	stop    func()             // begins the stop
	receipt chan drain.Receipt // gets one, at the end
}

func serve(t *testing.T, cfg httpdrain.Config, h http.HandlerFunc) *rig {
	t.Helper()
	return serveOn(t, httpdrain.Wrap(&http.Server{Handler: h}, cfg), (*httpdrain.Server).Serve)
}

func serveOn(t *testing.T, s *httpdrain.Server, how func(*httpdrain.Server, context.Context, net.Listener) (drain.Receipt, error)) *rig {
	t.Helper()
	ln, err := synshed.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &rig{s, ln.Addr().String(), stop, make(chan drain.Receipt, 1)}
	var running sync.WaitGroup
	running.Go(func() { // ends when it has drained
		receipt, err := how(s, ctx, ln)
		if err != nil {
			t.Error(err)
		}
		if err := receipt.Audit(); err != nil {
			t.Error(err)
		}
		r.receipt <- receipt
	})
	r.until(t, drain.Open)
	t.Cleanup(func() {
		stop()
		s.Hurry()
		s.Hurry()
		running.Wait()
	})
	return r
}

// until waits for a state of the tracker.
func (r *rig) until(t *testing.T, want drain.State) {
	t.Helper()
	limit := time.After(patience)
	for {
		state, changed := r.Tracker().Watch()
		if state >= want {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("still %s, want %s", state, want)
		}
	}
}

// open connects.
func (r *rig) open(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, bufio.NewReader(c)
}

func get(t *testing.T, c net.Conn, in *bufio.Reader, path string) (body string, leave bool) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp.Close
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

// A request that comes while draining, on a connection that idled or was never used, is
// served and told to leave.
func TestIdleConnectionsAreServedOnceMore(t *testing.T) {
	r := serve(t, short(), hello)
	used, in := r.open(t)
	if _, leave := get(t, used, in, "/"); leave {
		t.Error("told to leave before any stop")
	}
	fresh, freshIn := r.open(t)
	half, halfIn := r.open(t)
	fmt.Fprint(half, "GET / HTTP/1.1\r\nHo")
	r.stop()
	r.until(t, drain.Draining)
	for name, c := range map[string]struct {
		net.Conn
		in *bufio.Reader
	}{"used": {used, in}, "fresh": {fresh, freshIn}} {
		if body, leave := get(t, c, c.in, "/"); body != "hello" || !leave {
			t.Errorf("%s: %q, told to leave %t", name, body, leave)
		}
	}
	fmt.Fprint(half, "st: a\r\n\r\n")
	if resp, err := http.ReadResponse(halfIn, nil); err != nil || !resp.Close {
		t.Errorf("half a head: %v, %v", resp, err)
	}
	for _, c := range []net.Conn{used, fresh, half} {
		c.Close()
	}
	if got := <-r.receipt; !got.Clean() || got.Exchanges.Draining != 3 || got.Outcomes.Completed != 3 {
		t.Errorf("%s: %+v %+v", got, got.Exchanges, got.Outcomes)
	}
}

// What stays idle is closed with FIN, and that is no cut.
func TestIdleConnectionsAreClosedLast(t *testing.T) {
	cfg := short()
	cfg.Drain.IdleClose = 50 * time.Millisecond
	cfg.Drain.Timeout = 2 * time.Second
	r := serve(t, cfg, hello)
	c, in := r.open(t)
	get(t, c, in, "/")
	fresh, _ := r.open(t)
	r.stop()
	for _, c := range []net.Conn{c, fresh} {
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("an idle connection ended with %q, %v; want FIN", b, err)
		}
		c.Close()
	}
	if got := <-r.receipt; !got.Clean() || got.Outcomes.IdleClosed != 2 || got.ActualLoss != 0 {
		t.Errorf("%s: %+v, %d lost", got, got.Outcomes, got.ActualLoss)
	}
}

// A response that is under way finishes, and so does a hijacked connection, however long
// that takes within the time of the drain.
func TestWhatIsUnderWayFinishes(t *testing.T) {
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	r := serve(t, short(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			c, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			begun <- struct{}{}
			line, _ := buf.ReadString('\n')
			fmt.Fprint(c, line)
			return
		}
		fmt.Fprint(w, "one ")
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		<-finish
		fmt.Fprint(w, "two")
	})
	slow, in := r.open(t)
	fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	raw, rawIn := r.open(t)
	fmt.Fprint(raw, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	r.stop()
	r.until(t, drain.Draining)
	if n := r.Tracker().Stats().Connections; n.Active != 1 || n.Tunnel != 1 {
		t.Errorf("holders: %s", n)
	}
	close(finish)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "one two" {
		t.Errorf("%q, %v", b, err)
	}
	slow.Close()
	fmt.Fprintln(raw, "still here")
	if line, err := rawIn.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("hijacked: %q, %v", line, err)
	}
	raw.Close()
	if got := <-r.receipt; !got.Clean() || got.Outcomes.Cut != 0 {
		t.Errorf("%s: %+v", got, got.Outcomes)
	}
}

// At the deadline contexts end with ErrCut, connections are cut, and the receipt names them.
func TestTheDeadlineCuts(t *testing.T) {
	cfg := short()
	cfg.Drain.Timeout = time.Second
	causes := make(chan error, 1)
	begun := make(chan struct{}, 2)
	r := serve(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			begun <- struct{}{}
			_, _ = io.Copy(io.Discard, c)
			c.Close()
			return
		}
		begun <- struct{}{}
		<-r.Context().Done()
		causes <- context.Cause(r.Context())
	})
	for _, path := range []string{"/", "/hijack"} {
		c, _ := r.open(t)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		<-begun
	}
	r.stop()
	got := <-r.receipt
	if cause := <-causes; !errors.Is(cause, httpdrain.ErrCut) {
		t.Errorf("the context ended by %v", cause)
	}
	// The handler returned in time, so its response, empty as it is, is whole.
	if got.Outcomes.Cut != 1 || got.CutTotal != 1 || got.Cut[0].Class != drain.Tunnel || got.StuckTotal != 0 {
		t.Errorf("%s: %+v, cut %+v", got, got.Outcomes, got.Cut)
	}
}

// A handler that goes on is cut off and named.
func TestAHandlerThatIgnoresItsContextIsNamed(t *testing.T) {
	cfg := short()
	cfg.Drain.Timeout = 500 * time.Millisecond
	begun, release := make(chan struct{}), make(chan struct{})
	r := serve(t, cfg, func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	})
	c, _ := r.open(t)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	r.stop()
	got := <-r.receipt
	close(release)
	if got.Clean() || got.StuckTotal != 1 || got.Exchanges.Interrupted != 1 {
		t.Errorf("%s: %+v", got, got.Exchanges)
	}
}

func TestReadyTurnsFirst(t *testing.T) {
	cfg := short()
	cfg.LameDuckMin, cfg.LameDuckMax = time.Hour, time.Hour
	r := serve(t, cfg, hello)
	ask := func() int {
		w := httptest.NewRecorder()
		r.Ready().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	if code := ask(); code != 200 {
		t.Errorf("ready says %d", code)
	}
	r.stop()
	r.until(t, drain.Leaving)
	if code := ask(); code != 503 {
		t.Errorf("ready says %d in the lame duck", code)
	}
	c, in := r.open(t) // and everything is still accepted
	if body, _ := get(t, c, in, "/"); body != "hello" {
		t.Errorf("%q", body)
	}
	c.Close()
	r.Hurry()
	if got := <-r.receipt; !got.Clean() {
		t.Error(got)
	}
}

// A client is told by responses from NoticeAfter on; who came later only while draining.
func TestGoodbyesBeginInTheLameDuck(t *testing.T) {
	cfg := short()
	cfg.LameDuckMin, cfg.LameDuckMax = time.Hour, time.Hour
	cfg.Drain.NoticeAfter = time.Millisecond
	r := serve(t, cfg, hello)
	old, oldIn := r.open(t)
	get(t, old, oldIn, "/")
	r.stop()
	r.until(t, drain.Leaving)
	fresh, freshIn := r.open(t)
	limit := time.Now().Add(patience)
	for leave := false; !leave; _, leave = get(t, old, oldIn, "/") {
		if time.Now().After(limit) {
			t.Fatal("never told to leave")
		}
	}
	if _, leave := get(t, fresh, freshIn, "/"); leave {
		t.Error("a connection of the lame duck is told to leave: it would only come back")
	}
	r.Hurry()
	r.until(t, drain.Draining)
	if _, leave := get(t, fresh, freshIn, "/"); !leave {
		t.Error("not told to leave while draining")
	}
	old.Close()
	fresh.Close()
	if got := <-r.receipt; !got.Clean() || got.Told != 2 {
		t.Errorf("%s, told %d", got, got.Told)
	}
}

// A panic of a handler breaks its response off, and the account says so.
func TestAPanicIsNoCompletion(t *testing.T) {
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })}
	cfg := short()
	cfg.LameDuckMin = time.Hour
	r := serveOn(t, httpdrain.Wrap(s, cfg), (*httpdrain.Server).Serve)
	r.stop()
	r.until(t, drain.Leaving)
	c, in := r.open(t)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(in, nil); err == nil {
		t.Error("a panic gave a response")
	}
	r.Hurry()
	if got := <-r.receipt; got.Outcomes.Errored != 1 || got.Exchanges.Failed != 1 {
		t.Errorf("%+v %+v", got.Outcomes, got.Exchanges)
	}
}

// A large body goes by ReadFrom, where net/http uses sendfile and splice.
func TestLargeResponses(t *testing.T) {
	r := serve(t, short(), func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", 5<<20)))
	})
	c, in := r.open(t)
	if body, _ := get(t, c, in, "/"); len(body) != 5<<20 {
		t.Errorf("%d bytes", len(body))
	}
	c.Close()
}
