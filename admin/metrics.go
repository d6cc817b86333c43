package admin

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
)

// Build says what runs.
type Build struct {
	Version   string `json:"version"`
	Revision  string `json:"revision,omitempty"`
	GoVersion string `json:"go_version,omitempty"`
}

// Reloads counts reloads.
type Reloads struct {
	Succeeded, Failed uint64
	LastFailed        bool
	LastSuccess       time.Time // zero: none yet
}

// LogLoss is what a log could not write, in lines.
type LogLoss struct {
	Dropped uint64 // whoever reads it was too slow
	Failed  uint64 // it refused them
}

// Sources is where metrics are read at scrape time. Each function may be nil: what it
// would have told is then as if nothing had happened. They are called one scrape at a time.
type Sources struct {
	Build       Build
	Health      func() health.Snapshot
	Transitions func() []lifecycle.Transition
	Tracker     func() drain.Stats
	Receipt     func() drain.Receipt // of the drain under way, or the final one
	Proxy       func() proxy.Stats
	// Certificates by listener; nil: no listener speaks TLS.
	Certificates func() map[string]edgetls.Stats
	Logins       func() []Logins // by provider; nil: there are none
	Policy       func() Policy
	Reloads      func() Reloads
	// Sessions is the account of those; nil, or what it returns is: there are none.
	Sessions func() *Sessions
	// Fleet is how the process stands with its fleet; nil, or what it returns is: it is one of none.
	Fleet func() *fleet.Status
	Logs  func() map[string]LogLoss // by log: "access", "decisions", "process"
	// Generation is that of this process (0: unknown), and Generations those before it.
	Generation  int
	Generations func() []Generation
	// LastDrain returns the receipt of the last drain here that was not this process's own:
	// of the life before it, or of a generation that ended since; nil: unknown.
	LastDrain func() *drain.Receipt

	// Listeners and Reasons are sets that are known at the start, so that every series of
	// theirs exists from the first scrape on and rate() sees the first event.
	Listeners []proxy.ListenerConfig
	Reasons   []string // of decisions

	Log *slog.Logger // nil: nowhere
}

// NewMetrics returns the handler of /metrics: everything of Sources, the Go runtime and
// the process, from a registry of its own.
func NewMetrics(s Sources) http.Handler {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(
		newCollector(s),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.Log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError, // the rest is worth having
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true,
	})
}

// collector reads Sources at scrape time.
type collector struct {
	s     Sources
	descs [numFamilies]*prometheus.Desc

	mu        sync.Mutex // guards what follows; held during a scrape: one at a time
	routes    names
	clusters  names
	reasons   names
	edges     edges
	upstreams upstreams
}

func newCollector(s Sources) *collector {
	c := &collector{s: s, edges: newEdges(), upstreams: newUpstreams()}
	for i, f := range families {
		c.descs[i] = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := emitter{ch, &c.descs}
	b := c.s.Build
	e.value(buildInfo, 1, b.Version, b.Revision, b.GoVersion)
	c.collectGenerations(e)
	c.collectLife(e)
	c.collectProxy(e)
	c.collectLogins(e)
	c.collectPolicy(e)
	c.collectSessions(e)
	c.collectDrain(e)
	c.collectFleet(e)
	c.collectReloads(e)
	for log, n := range read(c.s.Logs) {
		e.value(logLost, float64(n.Dropped), log, "no_room")
		e.value(logLost, float64(n.Failed), log, "write_failed")
	}
}

// read calls a source; without one it is as if nothing had happened.
func read[T any](source func() T) (v T) {
	if source != nil {
		v = source()
	}
	return v
}

// unix is t in seconds of Unix time; 0 for no time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// maxNames bounds the values of a label that configuration chooses.
const maxNames = 1000

// other is the value of such a label for everything beyond the bound, and noRoute that of
// http_route for requests that matched none.
const (
	other   = "_other"
	noRoute = "_none"
)

// names gives each of the first maxNames names a label of its own, for good: a counter
// that moved to another label would go back. The zero value is empty.
type names struct {
	known map[string]bool
}

func (n *names) label(name string) string {
	if n.known[name] {
		return name
	}
	if len(n.known) >= maxNames {
		return other
	}
	if n.known == nil {
		n.known = make(map[string]bool)
	}
	n.known[name] = true
	return name
}
