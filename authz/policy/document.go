package policy

import (
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Document is a whole policy: what a directory's files say together.
type Document struct {
	Clusters  []Cluster
	Routes    []Route
	TCPRoutes []TCPRoute
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
	ResponseTimeout time.Duration `yaml:"response_timeout"`                   // zero: the cluster's
	IdleTimeout     time.Duration `yaml:"idle_timeout"`                       // of a tunnel; zero: the proxy's
	Drain           *Drain        `yaml:"drain"`                              // nil: as all
	Decisions       string        `yaml:"decision_log" enum:"drop,block,off"` // what becomes of decisions that the log has no room for; empty: drop

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
	Policy      *Rules        `yaml:"policy"` // only accept, reject, source_ip, client_certificate and times; nil refuses everything
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	Decisions   string        `yaml:"decision_log" enum:"drop,block,off"` // block: a connection whose decision finds no room is closed
	Drain       *Drain        `yaml:"drain"`                              // without a notice: nobody can be told over raw bytes

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

// Errorf returns an error that reads like the faults of Parse, with place and excerpt: something here does
// not go with what is elsewhere.
func (o Origin) Errorf(format string, args ...any) error {
	f := &yaml.Faults{}
	f.Add(o.place.Fault(format, args...).Of(yaml.Conflict))
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
