package proxy

import (
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// Route is one compiled route of a snapshot. What an authorization reads comes first and
// is half a cache line.
type Route struct {
	Authorizer authz.Authorizer // normally &program
	program    policy.Program   // here and not elsewhere: a cache miss less
	*chain
	Name            string
	Cluster         *upstream.Cluster
	stats           *routeStats
	terms           *drain.Terms   // never nil
	responseTimeout time.Duration  // 0: the cluster's
	tunnelIdle      time.Duration  // 0: the cluster's
	maxStreamAge    time.Duration  // 0: none
	closeCode       websocket.Code // of the WebSockets that a drain ends; 0: by the occasion
	streams         streamEnding
	decisions       decisionMode
	PathParameters  bool
}

// chain is how the routes that name the same authenticators know who it is.
type chain struct {
	Authenticators   []authz.Authenticator // asked in order
	challenges       []h1.Header           // WWW-Authenticate of a 401
	greeters         []authz.Greeter       // those among Authenticators
	renews           bool                  // one of them is an authz.Renewer
	hidesCredentials bool                  // the credential was for us: it is not forwarded
}

// tcpRoute is what a TCP listener does with its connections.
type tcpRoute struct {
	Name         string
	Cluster      *upstream.Cluster
	Authorizer   authz.Authorizer
	terms        *drain.Terms  // never nil
	tunnelIdle   time.Duration // 0: the cluster's
	decisions    decisionMode
	maxStreamAge time.Duration // 0: none
}

// responseWait is how long a route waits for the head of a response.
func (r *Route) responseWait() time.Duration {
	if r.responseTimeout != 0 {
		return r.responseTimeout
	}
	return r.Cluster.Config().ResponseTimeout
}

// defaultHost is the authority that a request without one gets (HTTP/1.0 needs none): HTTP/1.1
// to the upstream needs a Host, and a server may refuse an empty one. RFC 9112 section
// 3.3 lets a gateway's configuration say it; the first endpoint is the one name that ours
// holds for certain, and the same whichever endpoint is picked. Such a request only
// matches routes of any host.
func (r *Route) defaultHost() string {
	if eps := r.Cluster.Endpoints(); len(eps) > 0 {
		return eps[0].Addr
	}
	return ""
}

// Snapshot is an immutable compiled policy: everything an exchange asks about routes,
// rules and clusters, of one version. An exchange loads it once and keeps it.
type Snapshot struct {
	Version string

	table  *route.Table
	routes []Route
	tcp    map[string]*tcpRoute // by listener
}

// Routes is the number of HTTP routes.
func (s *Snapshot) Routes() int { return len(s.routes) }

// gate holds the snapshot in force. Invariant 4: it holds none before the first one is
// in force, and no exchange goes past it without one.
type gate struct {
	atomic.Pointer[Snapshot]
	pending  atomic.Pointer[Snapshot] // compiled, not in force yet; kept for Faults.ServeWithoutPolicy only
	withheld atomic.Bool              // it allows nothing: see Withhold
}
