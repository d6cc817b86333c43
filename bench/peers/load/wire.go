//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Wire is what the requests travel over, beside plain HTTP/1.1.
type Wire string

// The wires.
const (
	Plain     Wire = ""          // HTTP/1.1
	TLS       Wire = "tls"       // HTTP/1.1 over TLS 1.3
	Handshake Wire = "handshake" // that, with a full handshake for each request
	Hybrid    Wire = "hybrid"    // that, with X25519MLKEM768 offered as browsers do
	H2C       Wire = "h2c"       // HTTP/2 by prior knowledge, Streams at a time on each connection
	GRPC      Wire = "grpc"      // that, with a unary call for each request, which is answered with its own message
	WebSocket Wire = "websocket" // messages that come back, one at a time on each connection
)

// Streams is how many requests are under way on a connection of H2C.
const Streams = 16

// sameCurve is what clients offer, so that everybody does the same work: of servers that know X25519MLKEM768, as ours,
// crypto/tls would ask for that, and OpenSSL before 3.5 has not got it.
var sameCurve = []tls.CurveID{tls.X25519}

// wires is the load of Handshake, Hybrid, H2C and GRPC: one goroutine for each connection. What the client costs is not
// measured; the proxy is alone on its CPU.
type wires struct {
	Config
	pattern []byte
	nextID  atomic.Uint64

	mu     sync.Mutex // guards what follows
	hist   histogram
	result Result
}

// runWire does what Run says for another wire.
func runWire(cfg Config, lines io.Reader, out io.Writer, wait func() error) error {
	w := &wires{Config: cfg, pattern: body.Pattern()}
	w.nextID.Store(rand.Uint64())
	players, err := w.players()
	defer func() {
		for _, p := range players {
			p.close()
		}
	}()
	if err != nil {
		return err
	}
	w.play(players, cfg.Warm)
	before := w.result
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return nil // nobody wants a result
	}
	// What warmed up badly counts as well.
	w.result, w.hist = Result{Errors: before.Errors, Mismatches: before.Mismatches, Failure: before.Failure}, histogram{}
	began, cpu := time.Now(), ownCPU()
	w.play(players, cfg.Duration)
	r := &w.result
	r.Elapsed, r.CPU = time.Since(began), ownCPU()-cpu
	r.P50, r.P99, r.P999, r.Max = w.hist.quantile(.5), w.hist.quantile(.99), w.hist.quantile(.999), w.hist.max
	if err := json.NewEncoder(out).Encode(w.result); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, lines)
	return nil
}

// player is one connection: it sends requests until then, and waits for the last answer.
type player struct {
	play  func(ctx context.Context, until time.Time) error
	close func()
}

func (w *wires) players() (all []player, err error) {
	for range w.Conns {
		if w.Wire == H2C || w.Wire == GRPC {
			conn, err := net.Dial("tcp", w.Addr)
			if err != nil {
				return all, err
			}
			s := &streams{w: w, conn: conn, began: time.Now()}
			s.core = h2.New(h2.Config{Client: true, Floods: h2.Floods{Control: h2.Budget{Burst: -1}}}, s)
			all = append(all, player{func(_ context.Context, until time.Time) error { s.until = until; return s.run() }, func() { _ = conn.Close() }})
			continue
		}
		c := w.client()
		all = append(all, player{func(ctx context.Context, until time.Time) error { return w.loop(ctx, c, until) }, c.CloseIdleConnections})
	}
	return all, nil
}

// client makes a connection of HTTP/1.1 over TLS for each request.
func (w *wires) client() *http.Client {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, CurvePreferences: sameCurve} // the proxy's certificate is made for the run
	if w.Wire == Hybrid {
		cfg.CurvePreferences = nil
	}
	return &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true, MaxConnsPerHost: 1,
		TLSClientConfig: cfg,
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{}}}
}

// play has all of them send for so long.
func (w *wires) play(players []player, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d+patience)
	defer cancel()
	until := time.Now().Add(d)
	var wg sync.WaitGroup
	for _, p := range players {
		wg.Add(1)
		go w.one(ctx, p, until, &wg) // ends behind until, joined below
	}
	wg.Wait()
}

func (w *wires) one(ctx context.Context, p player, until time.Time, wg *sync.WaitGroup) {
	defer wg.Done()
	if err := p.play(ctx, until); err != nil {
		w.mu.Lock()
		w.result.Errors++
		if w.result.Failure == "" {
			w.result.Failure = err.Error()
		}
		w.mu.Unlock()
	}
}

func (w *wires) loop(ctx context.Context, c *http.Client, until time.Time) error {
	for once := true; once || time.Now().Before(until); once = false {
		began := time.Now()
		n, err := w.exchange(ctx, c)
		if err != nil {
			return err
		}
		w.finished(began, n)
	}
	return nil
}

// finished counts an exchange.
func (w *wires) finished(since time.Time, n int) {
	w.mu.Lock()
	w.hist.add(time.Since(since))
	w.result.Count++
	w.result.Bytes += int64(n)
	w.mu.Unlock()
}

func (w *wires) mismatch() {
	w.mu.Lock()
	w.result.Mismatches++
	w.mu.Unlock()
}

// exchange sends one request and compares its answer.
func (w *wires) exchange(ctx context.Context, c *http.Client) (int, error) {
	id := body.NewID(w.nextID.Add(1))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s/app/%d/%s", w.Addr, w.Size, id[:]), nil)
	if err != nil {
		return 0, err
	}
	req.Host = "bench.example.com"
	req.Header = http.Header{"User-Agent": {"sluice-bench/1"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Cookie": {"session=0123456789abcdef0123456789abcdef"}}
	if w.Key != "" {
		req.Header.Set("X-Api-Key", w.Key)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode != http.StatusOK || len(b) != w.Size:
		return 0, fmt.Errorf("answered %d with %d bytes", resp.StatusCode, len(b))
	case !body.Equal(w.pattern, b, 0, &id):
		w.mismatch()
		return 0, fmt.Errorf("request %s: a wrong byte", id[:])
	}
	return len(b), nil
}
