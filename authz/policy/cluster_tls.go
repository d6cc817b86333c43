package policy

import (
	"slices"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// ClusterTLS secures the connections to a cluster. What it takes of files is in the configuration:
// a policy may come from elsewhere, and names no file.
type ClusterTLS struct {
	Profile    string `yaml:"profile,required"` // of upstream_tls
	ServerName string `yaml:"server_name"`      // what endpoints have to prove to be; empty: what the profile says, or their host
}

// UnmarshalYAML reads the name of a profile, or all of it.
func (c *ClusterTLS) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	if n.Kind() == yaml.String {
		c.Profile = n.Text()
	} else {
		type plain ClusterTLS
		r.Decode(n, (*plain)(c))
	}
	if c.ServerName != "" && checkEndpoint(hostPort(c.ServerName)) != "" {
		r.Key("server_name").Fault(n, "%q is neither a name of a host nor an address", c.ServerName)
	}
}

// hostPort makes an endpoint of a name, to check it as one.
func hostPort(name string) string {
	if slices.Contains([]byte(name), ':') {
		return "[" + name + "]:1"
	}
	return name + ":1"
}

// CheckProfiles reports every cluster that names a profile which is not among those known.
func (d *Document) CheckProfiles(known []string) error {
	faults := &yaml.Faults{}
	for i := range d.Clusters {
		c := &d.Clusters[i]
		if c.TLS == nil || slices.Contains(known, c.TLS.Profile) {
			continue
		}
		f := c.Origin.place.Fault("cluster %q: there is no profile %q (upstream_tls)", c.Name, c.TLS.Profile).Of(yaml.UnknownName)
		f.Suggestion = yaml.Nearest(c.TLS.Profile, known)
		faults.Add(f)
	}
	return faults.ErrorOrNil()
}
