package admin

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/grpcprobe"
	"github.com/sluiceproxy/sluice/health/httpprobe"
)

// ProbesConfig configures the open listener. Health is needed.
type ProbesConfig struct {
	// Address is host:port; without a host, every address of both families
	// (default ":9902").
	Address string
	// Health is what probes are answered from.
	Health *health.Registry
	// Names are the names of checks that are printed.
	Names health.Naming
	// Metrics answers /metrics (see NewMetrics); nil: 404.
	Metrics http.Handler
	// Linger is for how long Drain waits for a last scrape, at most until its context
	// ends (default: not at all).
	Linger time.Duration
	// MaxConnections is how many there may be at a time (default 256). Who is closed
	// for one too many has waited longest without a request.
	MaxConnections int

	// Failed is told if the listener breaks while it is needed; nil: nobody.
	Failed func(service string, err error)
	// Listen replaces the network; nil: net.ListenConfig.
	Listen func(ctx context.Context, address string) (net.Listener, error)
	Log    *slog.Logger // nil: nowhere
}

// DefaultProbesAddress is where probes are answered.
const DefaultProbesAddress = ":9902"

// DefaultMaxConnections bounds the connections of either server.
const DefaultMaxConnections = 256

// Probes is the open, read-only server: probes and metrics. It is a service of package
// lifecycle by its shape. Register it first, so that it is closed last: it answers until
// the last handle is back (G5, invariant 8). Its connections are never drain work
// (invariant 9): no tracker knows them.
type Probes struct {
	cfg ProbesConfig
	web *web

	mu        sync.Mutex // guards what follows
	address   net.Addr
	lingering bool
	scraped   chan struct{} // closed by the end of the first scrape that began while lingering
	seen      bool          // scraped is closed
	yielded   bool          // a successor answers at this address
}

// NewProbes makes a server; Start binds. It panics without Health.
func NewProbes(cfg ProbesConfig) *Probes {
	if cfg.Health == nil {
		panic("BUG: admin: ProbesConfig.Health is needed")
	}
	if cfg.Address == "" {
		cfg.Address = DefaultProbesAddress
	}
	if cfg.MaxConnections <= 0 {
		cfg.MaxConnections = DefaultMaxConnections
	}
	if cfg.Listen == nil {
		cfg.Listen = listenTCP
	}
	p := &Probes{cfg: cfg, scraped: make(chan struct{})}
	p.web = newWeb("probes", p.handler(), cfg.MaxConnections, cfg.Failed, cfg.Log)
	// gRPC comes by HTTP/2, without TLS by prior knowledge.
	p.web.server.Protocols = new(http.Protocols)
	p.web.server.Protocols.SetHTTP1(true)
	p.web.server.Protocols.SetUnencryptedHTTP2(true)
	return p
}

// handler routes by hand: an http.ServeMux redirects untidy paths.
func (p *Probes) handler() http.Handler {
	probes := httpprobe.New(p.cfg.Health, p.cfg.Names)
	calls := grpcprobe.New(p.cfg.Health)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, grpcprobe.Prefix) {
			p.call(calls, w, r)
			return
		}
		if r.URL.Path != "/metrics" || p.cfg.Metrics == nil {
			p.probe(probes, w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed; metrics are read by GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		last := p.isLingering()
		p.cfg.Metrics.ServeHTTP(w, r)
		if last {
			p.sawScrape()
		}
	})
}

// probe answers a probe. Whether a successor answers at this address is looked at when the
// verdict is known: in between this process may have yielded, and then what it is says
// nothing about the address.
func (p *Probes) probe(probes http.Handler, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/status" {
		probes.ServeHTTP(w, r)
		return
	}
	held := &heldAnswer{header: http.Header{}}
	probes.ServeHTTP(held, r)
	if p.isYielded() {
		handedOver(w)
		return
	}
	held.send(w)
}

// call answers a gRPC probe, as probe does. A watch is not held back: it lasts.
func (p *Probes) call(calls *grpcprobe.Handler, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == grpcprobe.Prefix+"Watch" && !p.isYielded() {
		calls.ServeHTTP(w, r)
		return
	}
	held := &heldAnswer{header: http.Header{}}
	calls.ServeHTTP(held, r)
	if p.isYielded() {
		calls.HandedOver(w, r)
		return
	}
	held.send(w)
}

// heldAnswer keeps an answer back. It is small: a verdict in some lines.
type heldAnswer struct {
	header http.Header
	code   int // 0: 200
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *heldAnswer) WriteHeader(code int) { a.code = cmp.Or(a.code, code) }

// Write implements http.ResponseWriter.
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *heldAnswer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(cmp.Or(a.code, http.StatusOK))
	_, _ = w.Write(a.body.Bytes())
}

// handedOver answers a probe on a connection that was made before the successor took over:
// what it asks about is the address, and the successor is ready there.
func handedOver(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Connection", "close")
	_, _ = io.WriteString(w, "ok: handed over to a successor, which answers here from now on\n")
}

// Yield says that a successor answers at this address now: connections end with the answer
// under way, and until they do, probes are told what the successor is.
func (p *Probes) Yield() {
	p.setYielded(true)
	p.web.yield(true)
}

// Resume undoes Yield.
func (p *Probes) Resume() {
	p.setYielded(false)
	p.web.yield(false)
}

func (p *Probes) setYielded(yielded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.yielded = yielded
}

func (p *Probes) isYielded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.yielded
}

func (p *Probes) isLingering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lingering
}

func (p *Probes) sawScrape() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.seen {
		p.seen = true
		close(p.scraped)
	}
}

// Name implements lifecycle.Service.
func (p *Probes) Name() string { return "probes" }

// Start binds and answers: from now on everybody can see what the process waits for.
func (p *Probes) Start(ctx context.Context) error {
	ln, err := p.cfg.Listen(ctx, p.cfg.Address)
	if err != nil {
		return fmt.Errorf("probes: %w; see probes.address", err)
	}
	p.mu.Lock()
	p.address = ln.Addr()
	p.mu.Unlock()
	p.web.start(ln)
	return nil
}

// Addr is the address that is bound; nil before Start.
func (p *Probes) Addr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// Admit implements lifecycle.Service: probes are answered from Start on.
func (p *Probes) Admit() error { return nil }

// LameDuck implements lifecycle.Service.
func (p *Probes) LameDuck() {}

// Linger implements lifecycle.Lingerer: the last scrape has time of its own. Of what the drain was given nothing may be
// left, and then above all somebody should see what it cut.
func (p *Probes) Linger() time.Duration { return max(0, p.cfg.Linger) }

// Drain closes nothing. With Linger it waits for a scrape that sees the final numbers:
// it is the last to drain, so they are final. ctx ends that as well. Where a successor
// answers at this address no scrape can come.
func (p *Probes) Drain(ctx context.Context) error {
	if p.cfg.Linger <= 0 || ctx.Err() != nil || p.isYielded() {
		return nil
	}
	p.mu.Lock()
	p.lingering = true
	p.mu.Unlock()
	t := time.NewTimer(p.cfg.Linger)
	defer t.Stop()
	select {
	case <-p.scraped:
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}

// Close ends it. An answer under way gets half a second.
func (p *Probes) Close() error { return p.web.close() }
