package policy

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Document is a whole policy: what a directory's files say together.
type Document struct {
	Clusters  []Cluster
	Routes    []Route
	TCPRoutes []TCPRoute
}

// Cluster is a set of dialable addresses. Durations of zero are the proxy's defaults.
type Cluster struct {
	Name            string        `yaml:"-"`
	Endpoints       []string      `yaml:"endpoints,required"` // host:port
	Balance         string        `yaml:"balance" enum:"round_robin,least_request"`
	ConnectTimeout  time.Duration `yaml:"connect_timeout"`
	ResponseTimeout time.Duration `yaml:"response_timeout"` // until the head of the response
	IdleTimeout     time.Duration `yaml:"idle_timeout"`     // of pooled connections
	MaxIdle         int           `yaml:"max_idle"`         // pooled connections an endpoint; 0 is the default

	Origin Origin `yaml:"-"`
}

// Route says which requests go to which cluster, and who may send them.
type Route struct {
	Name            string        `yaml:"name,required"`
	Hosts           []string      `yaml:"hosts"`
	Path            Path          `yaml:"path"`
	Methods         []string      `yaml:"methods"`
	Cluster         string        `yaml:"cluster,required"`
	Authenticate    []string      `yaml:"authenticate"` // names of authenticators, asked in order
	Policy          *Rules        `yaml:"policy"`       // nil refuses everything
	PathParameters  bool          `yaml:"path_parameters"`
	ResponseTimeout time.Duration `yaml:"response_timeout"` // zero: the cluster's
	IdleTimeout     time.Duration `yaml:"idle_timeout"`     // of a tunnel; zero: the proxy's

	Origin Origin `yaml:"-"`
}

// Path is an exact path or a prefix of whole segments. The zero value is every path.
type Path struct {
	Exact  string `yaml:"exact"`
	Prefix string `yaml:"prefix"`
}

// TCPRoute gives the connections of a TCP listener to a cluster.
type TCPRoute struct {
	Name        string        `yaml:"name"` // zero: the listener's
	Listener    string        `yaml:"listener,required"`
	Cluster     string        `yaml:"cluster,required"`
	Policy      *Rules        `yaml:"policy"` // only accept, reject and source_ip; nil refuses everything
	IdleTimeout time.Duration `yaml:"idle_timeout"`

	Origin Origin `yaml:"-"`
}

// Origin is where a cluster or route stands, for faults that only the user of a
// document can see. The zero value has no place.
type Origin struct {
	place yaml.Place
}

// String returns "file:line:col".
func (o Origin) String() string { return o.place.String() }

// File returns the file's name as given to Parse.
func (o Origin) File() string { return o.place.File() }

// Errorf returns an error that reads like the faults of Parse: with place and excerpt.
func (o Origin) Errorf(format string, args ...any) error {
	f := &yaml.Faults{}
	f.Add(o.place.Fault(format, args...))
	return f
}

// JoinErrors gathers errors of Parse and Errorf into one report. It returns nil if
// none of them is an error.
func JoinErrors(errs ...error) error {
	f := &yaml.Faults{}
	for _, err := range errs {
		f.AddError("policy", err)
	}
	return f.ErrorOrNil()
}

// UnmarshalYAML reads a route and notes where it is.
func (t *Route) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain Route
	r.Decode(n, (*plain)(t))
	t.Origin = Origin{r.Place(n)}
}

// UnmarshalYAML reads a TCP route and notes where it is.
func (t *TCPRoute) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain TCPRoute
	r.Decode(n, (*plain)(t))
	t.Origin = Origin{r.Place(n)}
	if t.Name == "" {
		t.Name = t.Listener
	}
}

// UnmarshalYAML reads a cluster, notes where it is and checks its endpoints.
func (c *Cluster) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain Cluster
	c.Balance = "round_robin"
	r.Decode(n, (*plain)(c))
	c.Origin = Origin{r.Place(n)}
	if c.MaxIdle < 0 {
		r.Key("max_idle").Fault(n, "%d is negative", c.MaxIdle)
	}
	list, _ := n.Get("endpoints")
	if list.Kind() != yaml.List {
		return
	}
	r = r.Key("endpoints")
	if list.Len() == 0 || list.Len() > maxEndpoints {
		r.Fault(list, "a list of %d endpoints; from 1 to %d", list.Len(), maxEndpoints)
		return
	}
	seen := make(map[string]bool, list.Len())
	for i := range list.Len() {
		n := list.Item(i)
		if err := checkEndpoint(n.Text()); n.Kind() == yaml.String && err != "" {
			r.Index(i).Fault(n, "%q %s", n.Text(), err)
		} else if seen[n.Text()] {
			r.Index(i).Fault(n, "%q is given twice", n.Text())
		}
		seen[n.Text()] = true
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
