package policy

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Cluster is a set of dialable addresses. Durations and counts of zero are the proxy's defaults.
type Cluster struct {
	Name            string        `yaml:"-"`
	Endpoints       []string      `yaml:"endpoints,required"` // host:port
	Balance         string        `yaml:"balance" enum:"round_robin,least_request"`
	ConnectTimeout  time.Duration `yaml:"connect_timeout"`
	ResponseTimeout time.Duration `yaml:"response_timeout"`            // until the head of the response
	IdleTimeout     time.Duration `yaml:"idle_timeout"`                // of pooled connections
	MaxIdle         int           `yaml:"max_idle"`                    // pooled connections an endpoint; 0 is the default
	MaxConnections  int           `yaml:"max_connections"`             // of all loops together; 0: no limit
	MaxPending      int           `yaml:"max_pending"`                 // requests that wait for one of them
	PendingTimeout  time.Duration `yaml:"pending_timeout"`             // and for how long
	RetryPercent    *int          `yaml:"retry_percent"`               // of requests that may be sent again; 0: none
	Protocol        string        `yaml:"protocol" enum:"http1,http2"` // that its endpoints speak; http2: by prior knowledge
	ProxyProtocol   string        `yaml:"proxy_protocol" enum:"v1,v2"`
	TLS             *ClusterTLS   `yaml:"tls"` // nil: connections are not secured
	Outlier         Outlier       `yaml:"outlier"`
	HealthCheck     *HealthCheck  `yaml:"health_check"` // nil: no probes

	Origin Origin `yaml:"-"`
}

// Outlier leaves out endpoints that fail real traffic.
type Outlier struct {
	Off          bool          `yaml:"off"`
	Failures     int           `yaml:"failures"`      // in a row
	EjectFor     time.Duration `yaml:"eject_for"`     // the first time
	EjectMax     time.Duration `yaml:"eject_max"`     // the longest time
	MaxEjected   int           `yaml:"max_ejected"`   // percent of the endpoints
	ServerErrors bool          `yaml:"server_errors"` // a 5xx counts as well
}

// HealthCheck probes every endpoint.
type HealthCheck struct {
	Path      string        `yaml:"path"`     // of a GET; empty: a TCP connection is enough
	Interval  time.Duration `yaml:"interval"` // 0 is 10 s
	Timeout   time.Duration `yaml:"timeout"`
	Healthy   int           `yaml:"healthy"`
	Unhealthy int           `yaml:"unhealthy"`
}

// UnmarshalYAML reads a cluster, notes where it is and checks its endpoints.
func (c *Cluster) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain Cluster
	c.Balance = "round_robin"
	r.Decode(n, (*plain)(c))
	c.Origin = Origin{r.Place(n)}
	c.checkNumbers(n, r)
	c.checkProtocol(n, r)
	list, _ := n.Get("endpoints")
	if list.Kind() != yaml.List {
		return
	}
	r = r.Key("endpoints")
	if list.Len() == 0 || list.Len() > maxEndpoints {
		r.FaultOf(yaml.OutOfRange, list, "a list of %d endpoints; from 1 to %d", list.Len(), maxEndpoints)
		return
	}
	seen := make(map[string]bool, list.Len())
	for i := range list.Len() {
		n := list.Item(i)
		if err := checkEndpoint(n.Text()); n.Kind() == yaml.String && err != "" {
			r.Index(i).Fault(n, "%q %s", n.Text(), err)
		} else if seen[n.Text()] {
			r.Index(i).FaultOf(yaml.DuplicateName, n, "%q is given twice", n.Text())
		}
		seen[n.Text()] = true
	}
}

// checkProtocol refuses what does not go with connections that many requests share.
func (c *Cluster) checkProtocol(n yaml.Node, r *yaml.Reader) {
	if c.Protocol != "http2" {
		return
	}
	for _, key := range []string{"max_connections", "proxy_protocol"} {
		if value, ok := n.Get(key); ok {
			r.Key(key).FaultOf(yaml.Conflict, value, "does not go with protocol: http2, where many requests share a connection")
		}
	}
	if c.HealthCheck != nil && c.HealthCheck.Path != "" {
		h, _ := n.Get("health_check")
		path, _ := h.Get("path")
		r.Key("health_check").Key("path").FaultOf(yaml.Conflict, path, "probes of a path speak HTTP/1.1: with protocol: http2 leave it out, and a connection is enough")
	}
}

// clusters keeps the order of the file.
type clusters []Cluster

func (c *clusters) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	if !r.Expect(n, yaml.Map) {
		return
	}
	*c = make(clusters, n.Len())
	for i := range n.Len() {
		key, value := n.Entry(i)
		cluster := &(*c)[i]
		cluster.Name = key.Text()
		r.Key(key.Text()).Decode(value, cluster)
		if why := checkName(cluster.Name); why != "" {
			r.Fault(key, "the name %q %s", key.Text(), why)
		}
	}
}

// checkName returns what is wrong with a name. Names are labels of metrics and words
// in logs.
func checkName(s string) string {
	if s == "" || len(s) > 128 {
		return "must have from 1 to 128 bytes"
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == '/', c == ':':
		default:
			return "may only have letters, digits and - _ . / :"
		}
	}
	return ""
}

// checkEndpoint returns what is wrong with "host:port".
func checkEndpoint(s string) string {
	if _, err := netip.ParseAddrPort(s); err == nil {
		return checkPort(s)
	}
	host, _, ok := cutPort(s)
	if !ok {
		return "is not host:port"
	}
	if host == "" || len(host) > 253 {
		return "needs a host before the port"
	}
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return "is not host:port"
		}
	}
	return checkPort(s)
}

// checkNumbers refuses what can only be a mistake.
func (c *Cluster) checkNumbers(n yaml.Node, r *yaml.Reader) {
	for _, f := range []struct {
		key string
		n   int
		max int
	}{
		{"max_idle", c.MaxIdle, maxNumber}, {"max_connections", c.MaxConnections, maxNumber}, {"max_pending", c.MaxPending, maxNumber},
		{"outlier.failures", c.Outlier.Failures, maxNumber}, {"outlier.max_ejected", c.Outlier.MaxEjected, 100},
	} {
		switch {
		case f.n < 0:
			r.Key(f.key).FaultOf(yaml.OutOfRange, n, "%d is negative", f.n)
		case f.n > f.max:
			r.Key(f.key).FaultOf(yaml.OutOfRange, n, "%d; at most %d", f.n, f.max)
		}
	}
	if p := c.RetryPercent; p != nil && (*p < 0 || *p > 100) {
		r.Key("retry_percent").FaultOf(yaml.OutOfRange, n, "%d; from 0 to 100", *p)
	}
	if h := c.HealthCheck; h != nil {
		h.check(n, r.Key("health_check"))
	}
}

func (h *HealthCheck) check(n yaml.Node, r *yaml.Reader) {
	if h.Healthy < 0 || h.Unhealthy < 0 {
		r.FaultOf(yaml.OutOfRange, n, "no number of it may be negative")
	}
	if h.Path == "" {
		return
	}
	if h.Path[0] != '/' {
		r.Key("path").Fault(n, "%q does not begin with /", h.Path)
	}
	for i := range len(h.Path) {
		if c := h.Path[i]; c <= ' ' || c >= 0x7f || c == '#' {
			r.Key("path").Fault(n, "%q may only have printable ASCII without blanks and #", h.Path)
			return
		}
	}
}

const maxNumber = 1 << 20
