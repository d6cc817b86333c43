package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Config.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
	DefaultStreamIdle      = 5 * time.Minute
	DefaultIdleTimeout     = 60 * time.Second
	DefaultTunnelIdle      = time.Hour
	DefaultMaxIdle         = 256
)

// Config describes a cluster. Zero durations and counts are the defaults above;
// negative ones switch the limit off, except ConnectTimeout, which always bounds.
type Config struct {
	Name            string
	Endpoints       []string      // host:port, balanced round robin
	ConnectTimeout  time.Duration // for a TCP connection
	ResponseTimeout time.Duration // from the request's last byte to the response's head
	StreamIdle      time.Duration // no byte of a response body
	TunnelIdle      time.Duration // no byte of a tunnel in either direction
	IdleTimeout     time.Duration // of a pooled connection; less if the peer announced less
	MaxIdle         int           // pooled connections for each endpoint and shard; negative: no pooling
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.ConnectTimeout, DefaultConnectTimeout)
	if c.ConnectTimeout < 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	set(&c.ResponseTimeout, DefaultResponseTimeout)
	set(&c.StreamIdle, DefaultStreamIdle)
	set(&c.TunnelIdle, DefaultTunnelIdle)
	set(&c.IdleTimeout, DefaultIdleTimeout)
	if c.MaxIdle == 0 {
		c.MaxIdle = DefaultMaxIdle
	}
	return c
}

// Endpoint is one address of a cluster. Safe for concurrent use.
type Endpoint struct {
	Addr string

	cluster *Cluster
	gone    atomic.Bool

	// Counters, for metrics and status. They only ever grow, but Active.
	Active      atomic.Int64 // exchanges and tunnels that hold a connection now
	Requests    atomic.Uint64
	Connects    atomic.Uint64
	ConnectErrs atomic.Uint64
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

// HasOther reports whether the cluster has an endpoint other than e, which may have left
// it meanwhile.
func (c *Cluster) HasOther(e *Endpoint) bool {
	for _, other := range c.now.Load().endpoints {
		if other != e {
			return true
		}
	}
	return false
}

// Pick chooses the next endpoint round robin, other than avoid if there is another.
// Nil if the cluster has none.
func (c *Cluster) Pick(avoid *Endpoint) *Endpoint {
	eps := c.now.Load().endpoints
	if len(eps) == 0 {
		return nil
	}
	for range 2 {
		e := eps[(c.next.Add(1)-1)%uint64(len(eps))]
		if e != avoid || len(eps) == 1 {
			return e
		}
	}
	// Others took turns in between; any other will do.
	return eps[(slices.Index(eps, avoid)+1)%len(eps)]
}

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
	old := c.now.Load().endpoints
	eps := make([]*Endpoint, 0, len(cfg.Endpoints))
	for _, addr := range cfg.Endpoints {
		i := slices.IndexFunc(old, func(e *Endpoint) bool { return e.Addr == addr })
		if i >= 0 {
			eps = append(eps, old[i])
			continue
		}
		eps = append(eps, &Endpoint{Addr: addr, cluster: c})
	}
	c.now.Store(&version{cfg: cfg, endpoints: eps})
	for _, e := range old {
		if !slices.Contains(eps, e) {
			e.gone.Store(true)
		}
	}
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
