package policy

import (
	"slices"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// link checks what can only be seen in the document as a whole: names that are defined
// twice or not at all, and rules that do not fit their route.
func (d *Document) link(faults *yaml.Faults) {
	if n := len(d.Routes) + len(d.TCPRoutes); n > maxRoutes {
		faults.Add(yaml.Fault{File: d.Routes[maxRoutes-1].Origin.File(), Code: yaml.OutOfRange, Message: "too many routes"})
		return
	}
	l := linker{faults: faults, clusters: map[string]Origin{}, routes: map[string]Origin{}, listeners: map[string]Origin{}}
	for i := range d.Clusters {
		c := &d.Clusters[i]
		l.define("cluster", c.Name, l.clusters, c.Origin)
	}
	l.expressions(d)
	for i := range d.Routes {
		r := &d.Routes[i]
		l.define("route", r.Name, l.routes, r.Origin)
		if why := checkName(r.Name); why != "" {
			l.fault(yaml.BadValue, r.Origin, "the name %q %s", r.Name, why)
		}
		l.cluster(r.Name, r.Cluster, r.Origin)
		l.authenticate(r)
	}
	for i := range d.TCPRoutes {
		r := &d.TCPRoutes[i]
		l.define("route", r.Name, l.routes, r.Origin)
		if why := checkName(r.Name); why != "" {
			l.fault(yaml.BadValue, r.Origin, "the name %q %s", r.Name, why)
		}
		if d := r.Drain; d != nil && (d.Notice.Off || d.Notice.Given) {
			l.fault(yaml.Conflict, r.Origin, "route %q: drain.notice is for HTTP; over raw bytes nobody can be told to leave", r.Name)
		}
		l.define("TCP route of listener", r.Listener, l.listeners, r.Origin)
		l.cluster(r.Name, r.Cluster, r.Origin)
		if name, ok := r.Policy.find(func(t *Test) bool { return !t.Criterion.forTCP() }); ok {
			l.fault(yaml.Conflict, r.Origin, "route %q: %s cannot be asked of a TCP connection, only accept, reject, source_ip, client_certificate and times", r.Name, name)
		}
	}
}

type linker struct {
	faults                      *yaml.Faults
	clusters, routes, listeners map[string]Origin
	names                       []string // of clusters, once one was not found
}

func (l *linker) fault(code yaml.Code, at Origin, format string, args ...any) {
	l.faults.Add(at.place.Fault(format, args...).Of(code))
}

func (l *linker) define(what, name string, in map[string]Origin, at Origin) {
	if first, ok := in[name]; ok {
		l.fault(yaml.DuplicateName, at, "%s %q is defined twice; first at %s", what, name, first)
		return
	}
	in[name] = at
}

func (l *linker) cluster(route, name string, at Origin) {
	if _, ok := l.clusters[name]; ok {
		return
	}
	if l.names == nil {
		l.names = sortedKeys(l.clusters)
	}
	f := at.place.Fault("route %q: there is no cluster %q", route, name).Of(yaml.UnknownName)
	f.Suggestion = yaml.Nearest(name, l.names)
	l.faults.Add(f)
}

// authenticate refuses rules about an identity on a route that asks for none: every
// answer would be a challenge that no client could meet.
func (l *linker) authenticate(r *Route) {
	seen := map[string]bool{}
	for _, a := range r.Authenticate {
		if a == "" || seen[a] {
			l.fault(yaml.DuplicateName, r.Origin, "route %q: authenticate names %q twice or not at all", r.Name, a)
		}
		if a == "jwt" && seen["api_key"] {
			l.fault(yaml.Conflict, r.Origin, "route %q: authenticate names jwt behind api_key, which takes every bearer token for a key; write [jwt, api_key]", r.Name)
		}
		seen[a] = true
	}
	if len(r.Authenticate) > 0 {
		return
	}
	if name, ok := r.Policy.find((*Test).needsIdentity); ok {
		l.fault(yaml.Conflict, r.Origin, "route %q: the policy asks for %s, but authenticate names no way to know who it is", r.Name, name)
	}
}

// CheckAuthenticators reports every route that names an authenticator which is not among
// those known.
func (d *Document) CheckAuthenticators(known []string) error {
	faults := &yaml.Faults{}
	for i := range d.Routes {
		r := &d.Routes[i]
		for _, a := range r.Authenticate {
			if !slices.Contains(known, a) {
				f := r.Origin.place.Fault("route %q: there is no authenticator %q", r.Name, a).Of(yaml.UnknownName)
				f.Suggestion = yaml.Nearest(a, known)
				faults.Add(f)
			}
		}
	}
	return faults.ErrorOrNil()
}

// find returns the name of the first criterion that is like that.
func (p *Rules) find(like func(*Test) bool) (string, bool) {
	if p == nil {
		return "", false
	}
	for i := range p.List {
		for _, blocks := range [][]Expr{p.List[i].Allow, p.List[i].Deny} {
			if t := findTest(blocks, like); t != nil {
				return t.name(), true
			}
		}
	}
	return "", false
}

func findTest(list []Expr, like func(*Test) bool) *Test {
	for i := range list {
		e := &list[i]
		if e.Op != Leaf {
			if t := findTest(e.List, like); t != nil {
				return t
			}
		} else if like(&e.Test) {
			return &e.Test
		}
	}
	return nil
}

// name returns the criterion as written in a policy.
func (t *Test) name() string {
	if t.Criterion == Claim {
		return "claim/" + t.Claim
	}
	for name, c := range criteria {
		if c.criterion == t.Criterion {
			return name
		}
	}
	return "invalid"
}
