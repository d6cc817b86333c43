package proxy

import (
	"sync/atomic"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// refusal says why a connection or request was refused before any upstream was asked.
type refusal uint8

const (
	refusedUnsynced refusal = iota // no policy in force
	refusedDraining
	refusedLimit // limits.max_connections
	refusedProxyHeader
	refusedListenerLimit
	refusedSourceLimit
	refusedNoRoute // of a tcp listener; HTTP answers 404
	refusedStale   // the policy in force is withheld
	numRefusals
)

func (r refusal) String() string {
	switch r {
	case refusedUnsynced:
		return "policy_unsynced"
	case refusedDraining:
		return "draining"
	case refusedLimit:
		return "limit"
	case refusedProxyHeader:
		return "bad_proxy_header"
	case refusedListenerLimit:
		return "listener_limit"
	case refusedSourceLimit:
		return "source_limit"
	case refusedNoRoute:
		return "no_route"
	case refusedStale:
		return "policy_stale"
	case numRefusals:
	}
	return "invalid"
}

// listener is what the loops share about one listening socket.
type listener struct {
	cfg      ListenerConfig
	index    int
	open     atomic.Int64 // admitted connections
	accepted atomic.Uint64
	failed   atomic.Uint64 // accepts
	refused  [numRefusals]atomic.Uint64
	ended    [8]atomic.Uint64 // by drain.Outcome

	handshakes [numHandshakes]atomic.Uint64
}

func (ln *listener) closed(o drain.Outcome) { ln.ended[o].Add(1) }

func (l *loop) refused(ln *listener, why refusal) { ln.refused[why].Add(1) }

// loopStats are the counters of one loop: written by it, read by anybody.
type loopStats struct {
	active         atomic.Int64
	idleTimeouts   atomic.Uint64
	badRequests    atomic.Uint64
	badResponses   atomic.Uint64
	dropped        atomic.Uint64
	slow           atomic.Uint64
	truncated      atomic.Uint64
	poisoned       atomic.Uint64
	upstreamClosed atomic.Uint64
	panics         [numSites]atomic.Uint64

	pendingTimeouts atomic.Uint64

	h2Errors  reasonCounts  // connections that ended for what their client did
	h2Refused reasonCounts  // streams that were reset for it
	h2Slow    atomic.Uint64 // connections with a head that did not become whole in time
	h2Unheard atomic.Uint64 // notices that nobody answered

	farewells, farewellsAnswered atomic.Uint64
	streams                      [3]atomic.Uint64 // event streams that heard of a drain, by streamEnding

	ended [numStreamEnds]atomic.Uint64 // streams that might not go on

	decisions atomic.Pointer[[]*decisionCell] // replaced as a whole by the loop when it grows
}

type decisionCell struct {
	verdict authz.Verdict
	reason  string
	n       atomic.Uint64
}

// decided counts a decision. Reasons are a closed set, so the list stays short.
func (s *loopStats) decided(d authz.Decision) {
	var cells []*decisionCell
	if p := s.decisions.Load(); p != nil {
		cells = *p
	}
	for _, c := range cells {
		if c.verdict == d.Verdict && c.reason == d.Reason {
			c.n.Add(1)
			return
		}
	}
	c := &decisionCell{verdict: d.Verdict, reason: d.Reason}
	c.n.Add(1)
	grown := append(cells[:len(cells):len(cells)], c)
	s.decisions.Store(&grown)
}

// DurationBuckets are the upper bounds, in seconds, of request durations: those that
// OpenTelemetry advises for http.server.request.duration.
var DurationBuckets = [...]float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// Stats is a reading of all counters, for metrics and status.
type Stats struct {
	Active         int64 // exchanges that run
	Open           int64 // admitted downstream connections
	UpstreamsOpen  int64 // upstream connections, idle ones and those that are closing too
	IdleTimeouts   uint64
	BadRequests    uint64
	BadResponses   uint64
	Dropped        uint64
	Slow           uint64 // clients below Config.MinRate; those of a response are among Dropped
	Truncated      uint64
	Poisoned       uint64
	UpstreamClosed uint64
	Panics         map[string]uint64 // contained, by where
	Listeners      []ListenerStats
	Decisions      []DecisionStats
	Requests       []RequestStats
	Upstreams      []EndpointStats
	Clusters       []ClusterStats
	HTTP2          HTTP2Stats
	// PendingTimeouts are requests and TCP connections that waited for too long.
	PendingTimeouts uint64
	// Farewells are WebSockets whose client got a Close frame of ours, and FarewellsAnswered
	// those that are over and were closed by both sides.
	Farewells, FarewellsAnswered uint64
	// StreamsHinted and StreamsEnded are event streams that a drain gave a hint, and an end.
	StreamsHinted, StreamsEnded uint64
	// StreamsBarred are streams that were ended because they might not go on, by why.
	StreamsBarred map[string]uint64
}

// HTTP2Stats counts what clients did wrong on HTTP/2 connections, by reasons of package h2.
type HTTP2Stats struct {
	Errors   map[string]uint64 // connections that were ended
	Refused  map[string]uint64 // streams that were reset
	HeadSlow uint64            // connections that were ended because a head took too long
	Unheard  uint64            // goodbyes that were not answered within two seconds
}

// ListenerStats counts connections of one listener.
type ListenerStats struct {
	Name     string
	Accepted uint64
	Failed   uint64            // attempts to accept
	Refused  map[string]uint64 // by reason
	Closed   map[string]uint64 // by outcome
	// Handshakes of TLS by how they ended; nil: the listener does not speak it.
	Handshakes map[string]uint64
}

// DecisionStats counts decisions of the authorize stage.
type DecisionStats struct {
	Decision, Reason string
	Count            uint64
}

// RequestStats counts exchanges by route, method and status, with their durations.
type RequestStats struct {
	Route, Method string
	Status        int // 0: other
	Buckets       [len(DurationBuckets) + 1]uint64
	Seconds       float64 // sum
}

// EndpointStats counts what went to one endpoint.
type EndpointStats struct {
	Cluster, Endpoint               string
	State                           upstream.State
	Active                          int64
	Requests, Connects, ConnectErrs uint64
	TLSErrs, BadCerts               uint64 // handshakes that failed; of those, for the upstream's certificate
	Failures                        uint64 // broke or fell silent before an answer
	Ejections                       uint64
	Checks, CheckErrs               uint64 // of health_check
}

// ClusterStats counts what one cluster's endpoints share.
type ClusterStats struct {
	Cluster                 string
	Connections, Waiting    int
	PendingFull             uint64 // found no room to wait
	Retries, RetriesRefused uint64
}

// Stats reads all counters. Safe for concurrent use.
func (core *Core) Stats() Stats {
	s := Stats{Open: core.open.Load(), UpstreamsOpen: core.upstreamsOpen.Load(), Panics: map[string]uint64{}, StreamsBarred: map[string]uint64{},
		HTTP2: HTTP2Stats{Errors: map[string]uint64{}, Refused: map[string]uint64{}}}
	sums := map[DecisionStats]uint64{}
	core.mu.Lock()
	loops := core.loops
	core.mu.Unlock()
	for where := range numSites {
		s.Panics[where.String()] = 0
	}
	for why := goesOn + 1; why < numStreamEnds; why++ {
		s.StreamsBarred[why.String()] = 0
	}
	for _, l := range loops {
		for why := goesOn + 1; why < numStreamEnds; why++ {
			s.StreamsBarred[why.String()] += l.stats.ended[why].Load()
		}
		for where := range numSites {
			s.Panics[where.String()] += l.stats.panics[where].Load()
		}
		s.Active += l.stats.active.Load()
		l.stats.h2Errors.addTo(s.HTTP2.Errors)
		l.stats.h2Refused.addTo(s.HTTP2.Refused)
		s.HTTP2.HeadSlow += l.stats.h2Slow.Load()
		s.HTTP2.Unheard += l.stats.h2Unheard.Load()
		s.IdleTimeouts += l.stats.idleTimeouts.Load()
		s.BadRequests += l.stats.badRequests.Load()
		s.BadResponses += l.stats.badResponses.Load()
		s.Slow += l.stats.slow.Load()
		s.Dropped += l.stats.dropped.Load()
		s.Truncated += l.stats.truncated.Load()
		s.Poisoned += l.stats.poisoned.Load()
		s.UpstreamClosed += l.stats.upstreamClosed.Load()
		s.PendingTimeouts += l.stats.pendingTimeouts.Load()
		s.Farewells += l.stats.farewells.Load()
		s.FarewellsAnswered += l.stats.farewellsAnswered.Load()
		s.StreamsHinted += l.stats.streams[streamHinted].Load()
		s.StreamsEnded += l.stats.streams[streamEnded].Load()
		if p := l.stats.decisions.Load(); p != nil {
			for _, c := range *p {
				sums[DecisionStats{Decision: c.verdict.String(), Reason: c.reason}] += c.n.Load()
			}
		}
	}
	for k, n := range sums {
		k.Count = n
		s.Decisions = append(s.Decisions, k)
	}
	for _, ln := range core.listeners {
		s.Listeners = append(s.Listeners, ln.read())
	}
	s.Requests = core.book.read()
	core.readUpstreams(&s)
	return s
}

func (core *Core) readUpstreams(s *Stats) {
	for _, c := range core.upstreams.Clusters() {
		cs := ClusterStats{Cluster: c.Name()}
		cs.Connections, cs.Waiting, cs.PendingFull = c.Load()
		cs.Retries, cs.RetriesRefused = c.Retries()
		s.Clusters = append(s.Clusters, cs)
		for _, e := range c.Endpoints() {
			s.Upstreams = append(s.Upstreams, EndpointStats{Cluster: c.Name(), Endpoint: e.Addr, State: e.State(), Active: e.Active.Load(),
				Requests: e.Requests.Load(), Connects: e.Connects.Load(), ConnectErrs: e.ConnectErrs.Load(),
				TLSErrs: e.TLSErrs.Load(), BadCerts: e.BadCerts.Load(),
				Failures: e.Failures.Load(), Ejections: e.Ejections.Load(), Checks: e.Checks.Load(), CheckErrs: e.CheckErrs.Load()})
		}
	}
}

func (ln *listener) read() ListenerStats {
	s := ListenerStats{Name: ln.cfg.Name, Accepted: ln.accepted.Load(), Failed: ln.failed.Load(), Refused: map[string]uint64{}, Closed: map[string]uint64{}}
	for r := range numRefusals {
		s.Refused[r.String()] = ln.refused[r].Load()
	}
	for _, o := range []drain.Outcome{drain.Completed, drain.ClientClosed, drain.IdleClosed, drain.Cut, drain.Errored} {
		s.Closed[o.String()] = ln.ended[o].Load()
	}
	if ln.cfg.TLS != nil {
		s.Handshakes = map[string]uint64{}
		for h := range numHandshakes {
			s.Handshakes[h.String()] = ln.handshakes[h].Load()
		}
	}
	return s
}

func (b *statsBook) read() (all []RequestStats) {
	b.mu.Lock()
	routes := make([]*routeStats, 0, len(b.routes)+1)
	for _, r := range b.routes {
		routes = append(routes, r)
	}
	b.mu.Unlock()
	for _, r := range append(routes, &b.none) {
		for c := r.cells.Load(); c != nil; c = c.next.Load() {
			s := RequestStats{Route: r.name, Method: c.method.String(), Status: int(c.status), Seconds: float64(c.micros.Load()) / 1e6}
			for i := range c.buckets {
				s.Buckets[i] = c.buckets[i].Load()
			}
			all = append(all, s)
		}
	}
	return all
}
