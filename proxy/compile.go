package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// Apply compiles a policy document and puts it in force: one atomic swap. Exchanges
// that began keep the snapshot they have; open streams are decided about again. On error nothing was changed, and the error
// names every fault with its place. Safe for concurrent use; ctx is not looked at.
func (core *Core) Apply(_ context.Context, version string, doc *policy.Document) error {
	core.applying.Lock()
	defer core.applying.Unlock()
	enforce, err := core.Stage(version, doc)
	if err != nil {
		return err
	}
	enforce()
	return nil
}

// Stage does of Apply everything that can fail or takes time; enforce is the swap, to
// be called at most once and before the next Stage. Whoever has to enforce at a moment
// of his own choosing (a simulation, a fleet) uses it instead of Apply.
func (core *Core) Stage(version string, doc *policy.Document) (enforce func(), err error) {
	snap, err := core.compile(version, doc)
	if err != nil {
		return nil, err
	}
	if core.cfg.Faults.ServeWithoutPolicy {
		clusters, _ := core.upstreams.Update(core.clusterConfigs(doc))
		snap.bind(doc, clusters)
		core.gate.pending.Store(snap)
	}
	return func() {
		clusters, retire := core.upstreams.Update(core.clusterConfigs(doc))
		snap.bind(doc, clusters)
		core.gate.Store(snap)
		retire()
		core.book.keep(snap.routes, snap.tcp)
		core.postAll(sweepNote{})
		if !core.cfg.Faults.KeepDecisions {
			core.Recheck()
		}
	}, nil
}

// Version is the policy version in force; "" before the first.
func (core *Core) Version() string {
	if s := core.gate.Load(); s != nil {
		return s.Version
	}
	return ""
}

// compile builds everything of a snapshot but its clusters.
func (core *Core) compile(version string, doc *policy.Document) (*Snapshot, error) {
	programs := policy.Compile(doc)
	snap := &Snapshot{Version: version, routes: make([]Route, len(doc.Routes)), tcp: make(map[string]*tcpRoute, len(doc.TCPRoutes))}
	specs := make([]route.Spec, len(doc.Routes))
	chains := map[string]*chain{}
	var errs []error
	var err error
	for i := range doc.Routes {
		d, r := &doc.Routes[i], &snap.routes[i]
		*r = Route{Name: d.Name, program: programs.Routes[i], PathParameters: d.PathParameters, maxStreamAge: d.MaxStreamAge, stats: core.book.route(d.Name)}
		r.Authorizer = &r.program
		r.decisions = decisionModes[d.Decisions]
		if err := core.records(r.decisions, "route", d.Name, d.Origin); err != nil {
			errs = append(errs, err)
		}
		if r.terms, err = core.terms(d.Name, d.Drain, r.stats, d.Origin); err != nil {
			errs = append(errs, err)
		}
		if r.chain, err = core.chain(d, chains); err != nil {
			errs = append(errs, err)
		}
		if d.Drain != nil {
			r.closeCode = websocket.Code(d.Drain.CloseCode)
			r.streams = map[string]streamEnding{"retry": streamHinted, "end": streamEnded}[d.Drain.EventStream]
		}
		hosts, path := d.Hosts, route.PathSpec{Exact: d.Path.Exact, Prefix: d.Path.Prefix}
		if len(hosts) == 0 {
			hosts = anyHost
		}
		if path == (route.PathSpec{}) {
			path.Prefix = "/"
		}
		if core.ownPath([]byte(path.Exact + path.Prefix)) {
			errs = append(errs, d.Origin.Errorf("route %q: paths below %s are the proxy's own", d.Name, strings.Join(authz.SitePrefixes[:], " and ")))
		}
		specs[i] = route.Spec{Name: d.Name, Hosts: hosts, Path: path, Methods: d.Methods}
	}
	errs = append(errs, doc.CheckProfiles(slices.Sorted(maps.Keys(core.cfg.UpstreamTLS))))
	errs = append(errs, core.compileTCP(doc, programs, snap)...)
	table, err := route.Compile(specs)
	if err != nil {
		errs = append(errs, err)
	}
	if err := policy.JoinErrors(errs...); err != nil {
		return nil, err
	}
	snap.table = table
	return snap, nil
}

var anyHost = []string{"*"}

// certificateChallenge is the 401 of a route that knows no other: nothing but a certificate can be
// missing there. RFC 9110 section 15.5.2 wants a scheme, and none is registered.
var certificateChallenge = []h1.Header{{Name: "WWW-Authenticate", Value: `ClientCertificate realm="sluice"`}}

// chain finds the authenticators that a route names. known has those found before.
func (core *Core) chain(d *policy.Route, known map[string]*chain) (*chain, error) {
	key := strings.Join(d.Authenticate, "\x00")
	if ch := known[key]; ch != nil {
		return ch, nil
	}
	ch := &chain{}
	for _, name := range d.Authenticate {
		a := core.cfg.Authenticators[name]
		if a == nil {
			return nil, d.Origin.Errorf("route %q: authenticator %q is not configured (authenticate.%s)", d.Name, name, name)
		}
		ch.Authenticators = append(ch.Authenticators, a)
		_, ofConnection := a.(interface{ OfConnection() })
		_, ofCookie := a.(authz.Renewer)
		ch.renews = ch.renews || ofCookie
		if !ofConnection && !ofCookie {
			ch.hidesCredentials = true
		}
		if g, ok := a.(authz.Greeter); ok {
			ch.greeters = append(ch.greeters, g)
		}
		if c := a.ChallengeHeader(); c != "" {
			ch.challenges = append(ch.challenges, h1.Header{Name: "WWW-Authenticate", Value: c})
		}
	}
	if len(ch.challenges) == 0 { // a rule about certificates asks for one by itself
		ch.challenges = certificateChallenge
	}
	known[key] = ch
	return ch, nil
}

func (core *Core) compileTCP(doc *policy.Document, programs *policy.Programs, snap *Snapshot) (errs []error) {
	for i := range doc.TCPRoutes {
		d := &doc.TCPRoutes[i]
		if !core.hasTCPListener(d.Listener) {
			errs = append(errs, d.Origin.Errorf("tcp route %q: there is no listener %q with protocol tcp", d.Name, d.Listener))
			continue
		}
		var a authz.Authorizer = &programs.TCP[i]
		terms, err := core.terms(d.Name, d.Drain, core.book.tcpRoute(d.Name), d.Origin)
		if err != nil {
			errs = append(errs, err)
		}
		if err := core.records(decisionModes[d.Decisions], "tcp route", d.Name, d.Origin); err != nil {
			errs = append(errs, err)
		}
		snap.tcp[d.Listener] = &tcpRoute{Name: d.Name, Authorizer: a, terms: terms, maxStreamAge: d.MaxStreamAge, decisions: decisionModes[d.Decisions]}
	}
	return errs
}

// terms are what a route says about a drain, and where the lives of its connections are
// counted. They have to fit into the drain.
func (core *Core) terms(name string, d *policy.Drain, stats *routeStats, at policy.Origin) (*drain.Terms, error) {
	if d == nil {
		return &stats.terms, nil
	}
	t := &drain.Terms{Deadline: d.Deadline, Lives: &stats.lives}
	if limit := core.cfg.DrainTimeout; limit > 0 && d.Deadline > limit {
		return t, at.Errorf("route %q: drain.deadline %s is past that of the drain, drain.timeout %s; lower it, or raise drain.timeout and platform.stop_timeout", name, d.Deadline, limit)
	}
	if limit := core.cfg.LameDuckMax; limit > 0 && d.Notice.Given && d.Notice.After > limit {
		return t, at.Errorf("route %q: drain.notice %s is past lame_duck.max %s: write off, or lower it", name, d.Notice.After, limit)
	}
	switch {
	case d.Notice.Off:
		t.Notice = -1
	case d.Notice.Given:
		t.Notice = max(d.Notice.After, 1) // 0 would be as for all
	}
	t.EarlyTunnels = d.CloseAt == "start"
	t.EarlyStreams = d.EventStream != "" && d.EventStream != "none"
	switch d.Order {
	case "first":
		t.Order = drain.First
	case "last":
		t.Order = drain.Last
	}
	return t, nil
}

func (core *Core) hasTCPListener(name string) bool {
	for _, ln := range core.cfg.Listeners {
		if ln.Name == name && ln.Protocol == TCP {
			return true
		}
	}
	return false
}

// bind gives routes their clusters. Every name resolves: Parse saw to that.
func (s *Snapshot) bind(doc *policy.Document, clusters map[string]*upstream.Cluster) {
	find := func(name string) *upstream.Cluster {
		c := clusters[name]
		if c == nil {
			panic(fmt.Sprintf("BUG: cluster %q passed the parser and does not exist", name))
		}
		return c
	}
	for i := range s.routes {
		s.routes[i].Cluster = find(doc.Routes[i].Cluster)
		s.routes[i].responseTimeout = doc.Routes[i].ResponseTimeout
		s.routes[i].tunnelIdle = doc.Routes[i].IdleTimeout
	}
	for i := range doc.TCPRoutes {
		r := s.tcp[doc.TCPRoutes[i].Listener]
		r.Cluster = find(doc.TCPRoutes[i].Cluster)
		r.tunnelIdle = doc.TCPRoutes[i].IdleTimeout
	}
}

func (core *Core) clusterConfigs(doc *policy.Document) []upstream.Config {
	configs := make([]upstream.Config, len(doc.Clusters))
	for i, c := range doc.Clusters {
		configs[i] = clusterConfig(&c)
		core.cfg.Faults.bend(&configs[i])
	}
	return configs
}

func clusterConfig(c *policy.Cluster) upstream.Config {
	out := upstream.Config{
		Name: c.Name, Endpoints: c.Endpoints, ConnectTimeout: c.ConnectTimeout, ResponseTimeout: c.ResponseTimeout,
		IdleTimeout: c.IdleTimeout, MaxIdle: c.MaxIdle, MaxConnections: c.MaxConnections, MaxPending: c.MaxPending,
		PendingTimeout: c.PendingTimeout, Outlier: upstream.Outlier(c.Outlier),
	}
	if c.Balance == "least_request" {
		out.Balance = upstream.LeastRequest
	}
	if p := c.RetryPercent; p != nil {
		out.RetryPercent = *p
		if *p == 0 {
			out.RetryPercent = -1
		}
	}
	out.HTTP2 = c.Protocol == "http2"
	switch c.ProxyProtocol {
	case "v1":
		out.ProxyProtocol = 1
	case "v2":
		out.ProxyProtocol = 2
	}
	if t := c.TLS; t != nil {
		out.TLS = &upstream.TLS{Profile: t.Profile, ServerName: t.ServerName}
	}
	if h := c.HealthCheck; h != nil {
		out.Check = upstream.Check{Path: h.Path, Interval: h.Interval, Timeout: h.Timeout, Healthy: h.Healthy, Unhealthy: h.Unhealthy}
		if h.Interval == 0 {
			out.Check.Interval = 10 * time.Second
		}
	}
	return out
}

// records says that decisions which must have a place in the log have none, since there is no log.
func (core *Core) records(mode decisionMode, what, name string, at policy.Origin) error {
	if mode != awaitDecisions || core.cfg.DecisionLog != nil {
		return nil
	}
	return at.Errorf("%s %q: decision_log: block, and there is no log of decisions (log.decisions)", what, name)
}
