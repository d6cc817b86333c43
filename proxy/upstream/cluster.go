package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Endpoint is one address of a cluster. Safe for concurrent use.
type Endpoint struct {
	Addr string
	TLS  *TLS // how its connections are secured; nil: not at all. Never changed

	cluster *Cluster
	gone    atomic.Bool
	health

	// Counters, for metrics and status. They only ever grow, but Active.
	Active      atomic.Int64 // exchanges and tunnels that hold a connection now
	Requests    atomic.Uint64
	Connects    atomic.Uint64
	ConnectErrs atomic.Uint64 // of TCP, or of TLS on top of it
	TLSErrs     atomic.Uint64 // of TLS alone
	BadCerts    atomic.Uint64 // of those: its certificate does not prove what it has to
	Failures    atomic.Uint64 // broke or fell silent before they answered
	Ejections   atomic.Uint64
	Checks      atomic.Uint64 // probes that ended
	CheckErrs   atomic.Uint64 // and found no health
}

// Gone reports that the endpoint left the policy: do not reuse a connection to it.
func (e *Endpoint) Gone() bool { return e.gone.Load() }

// Cluster is the cluster that the endpoint belongs to.
func (e *Endpoint) Cluster() *Cluster { return e.cluster }

// Cluster is a set of endpoints balanced together. Safe for concurrent use.
type Cluster struct {
	name string
	next atomic.Uint64
	now  atomic.Pointer[version]

	impaired atomic.Int32 // endpoints that are not healthy
	mu       sync.Mutex   // guards changes of health

	budget budget
	slots  slots
}

// version is what Update replaces as a whole.
type version struct {
	cfg       Config
	endpoints []*Endpoint
}

// Name of the cluster.
func (c *Cluster) Name() string { return c.name }

// Config in force, with defaults filled in.
func (c *Cluster) Config() *Config { return &c.now.Load().cfg }

// Endpoints in force. Do not modify.
func (c *Cluster) Endpoints() []*Endpoint { return c.now.Load().endpoints }

// Set is all clusters ever in force. The zero Set is empty. Safe for concurrent use.
type Set struct {
	mu       sync.Mutex // guards clusters and serialises Update
	clusters map[string]*Cluster
}

// Update puts configs in force and returns their clusters by name. Clusters and
// endpoints that stay keep their identity. Endpoints that a cluster lost are gone at
// once; clusters that are not named any more go when retire is called: after the
// swap of the snapshot whose routes still name them. Call retire once, and then have
// each shard drop the idle connections of what is gone.
func (s *Set) Update(configs []Config) (clusters map[string]*Cluster, retire func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[string]*Cluster, len(configs))
	for _, cfg := range configs {
		c := s.clusters[cfg.Name]
		if c == nil {
			c = &Cluster{name: cfg.Name}
			c.now.Store(&version{})
		}
		c.update(cfg.withDefaults())
		next[cfg.Name] = c
	}
	var left []*Cluster
	for name, c := range s.clusters {
		if next[name] == nil {
			left = append(left, c)
		}
	}
	s.clusters = next
	return next, func() {
		for _, c := range left {
			c.update(Config{Name: c.name}.withDefaults())
		}
	}
}

func (c *Cluster) update(cfg Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.now.Load().endpoints
	eps := make([]*Endpoint, 0, len(cfg.Endpoints))
	for _, addr := range cfg.Endpoints {
		i := slices.IndexFunc(old, func(e *Endpoint) bool { return e.Addr == addr && e.TLS.same(cfg.TLS) })
		if i < 0 {
			eps = append(eps, &Endpoint{Addr: addr, TLS: cfg.TLS, cluster: c})
			continue
		}
		eps = append(eps, old[i])
		if cfg.Check.Interval <= 0 { // nobody is left to say that it is well again
			old[i].down.Store(false)
		}
		if cfg.Outlier.Off {
			old[i].out.Store(false)
		}
	}
	c.now.Store(&version{cfg: cfg, endpoints: eps})
	for _, e := range old {
		if !slices.Contains(eps, e) {
			e.gone.Store(true)
		}
	}
	c.recount()
}

// Clusters returns those in force, sorted by name, for metrics and status.
func (s *Set) Clusters() []*Cluster {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Cluster, 0, len(s.clusters))
	for _, c := range s.clusters {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Cluster) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return list
}
