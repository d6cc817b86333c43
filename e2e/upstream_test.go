package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is an origin that keeps a log of its own, and a TCP echo beside it.
type upstream struct {
	web string
	raw string

	server *http.Server
	echo   net.Listener

	mu    sync.Mutex // guards what follows
	seen  []visit
	conns map[net.Conn]bool // of echo
}

// visit is one line of the upstream's own log.
type visit struct {
	at   time.Time
	path string
	user string
	head http.Header
}

// newUpstream starts one; it ends with the test.
func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{conns: map[net.Conn]bool{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if u.echo, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.web, u.raw = ln.Addr().String(), u.echo.Addr().String()
	u.server = &http.Server{Handler: u.handler(), ReadHeaderTimeout: patience}
	var running sync.WaitGroup
	running.Go(func() { _ = u.server.Serve(ln) }) // ends with Close
	running.Go(func() { u.serveEcho(&running) })  // ends with Close of echo
	t.Cleanup(func() {
		_ = u.server.Close()
		_ = u.echo.Close()
		u.mu.Lock()
		for c := range u.conns {
			_ = c.Close()
		}
		u.mu.Unlock()
		running.Wait()
	})
	return u
}

func (u *upstream) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the proxy gave up on the request: there is nobody to answer
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	m.HandleFunc("/slow", slow)
	m.HandleFunc("/big", big)
	m.HandleFunc("/events", events)
	m.HandleFunc("/tunnel", u.tunnel)
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s by %s", r.Method, r.URL.Path, r.Header.Get("X-Sluice-User"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, visit{time.Now(), r.URL.Path, r.Header.Get("X-Sluice-User"), r.Header.Clone()})
		u.mu.Unlock()
		m.ServeHTTP(w, r)
	})
}

// big answers with 64 MiB.
func big(w http.ResponseWriter, _ *http.Request) {
	const pieces = 1 << 10
	piece := make([]byte, 64<<10)
	w.Header().Set("Content-Length", strconv.Itoa(pieces*len(piece)))
	for range pieces {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// slow answers with one byte every 50 ms for the duration d of the query.
func slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("d"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := int(d / (50 * time.Millisecond))
	w.Header().Set("Content-Length", strconv.Itoa(n))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range n {
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
		if _, err := io.WriteString(w, "."); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// events is a stream of server-sent events for the duration d of the query, one every 20 ms,
// in chunks; the last one says so.
func events(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("d"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := io.WriteString(w, "data: still here\n\n"); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, eventsEnd)
}

// eventsEnd is the last event of a stream.
const eventsEnd = "event: end\ndata: complete\n\n"

// tunnel switches protocols and echoes until the client's FIN.
func (u *upstream) tunnel(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "echo") {
		http.Error(w, "upgrade required", http.StatusUpgradeRequired)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	u.enter(c)
	defer u.leave(c)
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		return
	}
	_, _ = io.Copy(c, rw)
}

func (u *upstream) serveEcho(running *sync.WaitGroup) {
	for {
		c, err := u.echo.Accept()
		if err != nil {
			return
		}
		running.Go(func() { // ends when the connection does
			defer c.Close()
			u.enter(c)
			defer u.leave(c)
			u.mu.Lock()
			u.seen = append(u.seen, visit{at: time.Now(), path: "tcp"})
			u.mu.Unlock()
			_, _ = io.Copy(c, c)
		})
	}
}

func (u *upstream) enter(c net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns[c] = true
}

func (u *upstream) leave(c net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.conns, c)
}

// log returns what was seen of a path so far; empty means all.
func (u *upstream) log(path string) []visit {
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []visit
	for _, v := range u.seen {
		if path == "" || v.path == path {
			list = append(list, v)
		}
	}
	return list
}
