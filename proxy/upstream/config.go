package upstream

import "time"

// Defaults of Config.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
	DefaultStreamIdle      = 5 * time.Minute
	DefaultIdleTimeout     = 60 * time.Second
	DefaultTunnelIdle      = time.Hour
	DefaultMaxIdle         = 16384 // what was in use at once may wait for its idle timeout; fewer means dialing again at every peak
	DefaultMaxPending      = 1024
	DefaultPendingTimeout  = 5 * time.Second
	DefaultRetryPercent    = 20
)

// Config describes a cluster. Zero durations and counts are the defaults above;
// negative ones switch the limit off, except ConnectTimeout, which always bounds.
type Config struct {
	Name            string
	Endpoints       []string // host:port
	Balance         Balance
	ConnectTimeout  time.Duration // for a TCP connection
	ResponseTimeout time.Duration // from the request's last byte to the response's head
	StreamIdle      time.Duration // no byte of a response body
	TunnelIdle      time.Duration // no byte of a tunnel in either direction
	IdleTimeout     time.Duration // of a pooled connection; less if the peer announced less
	MaxIdle         int           // pooled connections for each endpoint and shard; negative: no pooling
	RetryPercent    int           // of requests that may be sent again; negative: none at all

	// MaxConnections bounds the connections of the cluster over all shards, tunnels and
	// idle ones included; 0: no limit.
	MaxConnections int
	MaxPending     int           // requests that wait for one of them; negative: none waits
	PendingTimeout time.Duration // and for how long; it always bounds

	// HTTP2 speaks HTTP/2 to the endpoints, by prior knowledge: many exchanges share a connection. It goes with neither
	// MaxConnections nor ProxyProtocol.
	HTTP2 bool

	Outlier Outlier
	Check   Check
	// ProxyProtocol is the version of the header that begins each connection; 0: none.
	// It names one client, so such a connection serves one exchange and is not pooled.
	ProxyProtocol int
	// TLS is how its connections are secured; nil: not at all. An endpoint of which it changes is
	// another from then on, so that no connection of the one is taken for one of the other.
	TLS *TLS
}

// TLS names how connections are secured.
type TLS struct {
	Profile    string // of the configuration
	ServerName string // what endpoints have to prove to be; empty: what the profile says
}

// same reports whether connections that were secured like that are as good as like o.
func (t *TLS) same(o *TLS) bool {
	return t == o || t != nil && o != nil && *t == *o
}

// Outlier is passive health: endpoints that fail real traffic are left out for a while.
type Outlier struct {
	Off          bool
	Failures     int           // in a row, until an endpoint is ejected; 0 is 5
	EjectFor     time.Duration // the first time; it doubles while the endpoint comes back to fail; 0 is 10 s
	EjectMax     time.Duration // and grows to this; 0 is 5 min
	MaxEjected   int           // percent of the endpoints, rounded down; 0 is 50
	ServerErrors bool          // a 5xx of the upstream is a failure too
}

// Check is active health: a probe of each endpoint, whether there is traffic or not.
type Check struct {
	Interval  time.Duration // between two probes; 0: no probes
	Timeout   time.Duration // of one; 0 is 2 s
	Path      string        // of a GET that must answer 200 to 399; empty: a connection is enough
	Healthy   int           // good answers in a row until an endpoint that is out comes back; 0 is 2
	Unhealthy int           // bad ones until it is out; 0 is 3
}

func (c Config) withDefaults() Config {
	c.ConnectTimeout = max(c.ConnectTimeout, 0)
	c.PendingTimeout = max(c.PendingTimeout, 0)
	orElse(&c.ConnectTimeout, DefaultConnectTimeout)
	orElse(&c.ResponseTimeout, DefaultResponseTimeout)
	orElse(&c.StreamIdle, DefaultStreamIdle)
	orElse(&c.TunnelIdle, DefaultTunnelIdle)
	orElse(&c.IdleTimeout, DefaultIdleTimeout)
	orElse(&c.MaxIdle, DefaultMaxIdle)
	orElse(&c.MaxPending, DefaultMaxPending)
	orElse(&c.PendingTimeout, DefaultPendingTimeout)
	orElse(&c.RetryPercent, DefaultRetryPercent)
	orElse(&c.Outlier.Failures, 5)
	orElse(&c.Outlier.EjectFor, 10*time.Second)
	orElse(&c.Outlier.EjectMax, 5*time.Minute)
	orElse(&c.Outlier.MaxEjected, 50)
	orElse(&c.Check.Timeout, 2*time.Second)
	orElse(&c.Check.Healthy, 2)
	orElse(&c.Check.Unhealthy, 3)
	return c
}

// orElse gives a field that was left out its default.
func orElse[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}
