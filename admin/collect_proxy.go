package admin

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// collectProxy reads connections, requests, decisions and upstreams.
func (c *collector) collectProxy(e emitter) {
	s, t := read(c.s.Proxy), read(c.s.Tracker)
	for _, ln := range s.Listeners {
		e.value(connectionsAccepted, float64(ln.Accepted), ln.Name)
		e.value(acceptFailures, float64(ln.Failed), ln.Name)
		for reason, n := range ln.Refused {
			e.value(refused, float64(n), ln.Name, reason)
		}
		for outcome, n := range ln.Closed {
			e.value(connectionsClosed, float64(n), ln.Name, outcome)
		}
		for result, n := range ln.Handshakes {
			e.value(tlsHandshakes, float64(n), ln.Name, result)
		}
	}
	for listener, certs := range read(c.s.Certificates) {
		c.collectCertificates(e, listener, certs)
	}
	c.collectGroups(e, connectionsActive, t.Groups)
	e.value(connectionsTold, float64(t.Told))
	e.value(websocketsClosed, float64(s.Farewells), "told")
	e.value(websocketsClosed, float64(s.FarewellsAnswered), "answered")
	e.value(eventStreamsTold, float64(s.StreamsHinted), "retry")
	e.value(eventStreamsTold, float64(s.StreamsEnded), "end")
	for reason, n := range s.StreamsBarred {
		e.value(streamsEnded, float64(n), reason)
	}
	e.value(idleTimeouts, float64(s.IdleTimeouts))
	for where, n := range s.Panics {
		e.value(panics, float64(n), where)
	}
	for reason, n := range s.HTTP2.Errors {
		e.value(http2Errors, float64(n), reason)
	}
	for reason, n := range s.HTTP2.Refused {
		e.value(http2Refused, float64(n), reason)
	}
	e.value(http2SlowHeads, float64(s.HTTP2.HeadSlow))
	e.value(http2Unheard, float64(s.HTTP2.Unheard))
	e.value(activeRequests, float64(s.Active))
	e.value(badRequests, float64(s.BadRequests))
	e.value(requestsDropped, float64(s.Dropped))
	e.value(slowClients, float64(s.Slow))
	e.value(upstreamBadResponses, float64(s.BadResponses))
	e.value(upstreamTruncated, float64(s.Truncated))
	e.value(upstreamPoisoned, float64(s.Poisoned))
	e.value(upstreamClosedIdle, float64(s.UpstreamClosed))
	c.collectRequests(e, s.Requests)
	c.collectDecisions(e, s.Decisions)
	c.collectUpstreams(e, s.Upstreams)
	c.collectClusters(e, s)
}

func (c *collector) collectCertificates(e emitter, listener string, s edgetls.Stats) {
	first := s.Certificates[0].NotAfter
	for _, one := range s.Certificates[1:] {
		if one.NotAfter.Before(first) {
			first = one.NotAfter
		}
	}
	e.value(tlsExpiry, float64(first.Unix()), listener)
	ends := map[string]int64{}
	for _, c := range s.Clients {
		if at, ok := ends[c.What]; !ok || c.At.Unix() < at {
			ends[c.What] = c.At.Unix()
		}
	}
	for of, at := range ends {
		e.value(tlsClients, float64(at), listener, of)
	}
	e.value(tlsReloads, float64(s.Reloads), listener, "succeeded")
	e.value(tlsReloads, float64(s.Failed), listener, "failed")
}

// collectGroups sends connections by listener, protocol and class; those that a listener
// may have exist from the start.
func (c *collector) collectGroups(e emitter, f id, groups []drain.Group) {
	type key struct{ listener, protocol string }
	counts := make(map[key]drain.ClassCounts, len(groups))
	for _, ln := range c.s.Listeners {
		counts[key{ln.Name, ln.Protocol.String()}] = drain.ClassCounts{}
	}
	for _, g := range groups {
		counts[key{g.Listener, g.Protocol}] = g.Connections
	}
	for k, n := range counts {
		for class, v := range byClass(n) {
			e.value(f, float64(v), k.listener, k.protocol, class)
		}
	}
}

// byClass gives the counts their labels.
func byClass(n drain.ClassCounts) map[string]int {
	return map[string]int{
		drain.Handshake.String(): n.Handshake, drain.Idle.String(): n.Idle,
		drain.Active.String(): n.Active, drain.Tunnel.String(): n.Tunnel,
	}
}

// requestLabels is the labels of a request.
type requestLabels struct{ method, status, route string }

// collectRequests sends the durations of requests. Those that share labels are summed:
// routes over the bound, and names that are the same once they are valid.
func (c *collector) collectRequests(e emitter, requests []proxy.RequestStats) {
	// In order of their names, so that which routes get a label is not left to chance.
	slices.SortFunc(requests, func(a, b proxy.RequestStats) int { return cmp.Compare(a.Route, b.Route) })
	sums := make(map[requestLabels]*proxy.RequestStats)
	for i := range requests {
		r := &requests[i]
		k := requestLabels{r.Method, other, noRoute}
		if r.Status != 0 {
			k.status = strconv.Itoa(r.Status)
		}
		if r.Route != "" {
			k.route = c.routes.label(valid([]string{r.Route})[0])
		}
		sum := sums[k]
		if sum == nil {
			sums[k] = r
			continue
		}
		sum.Seconds += r.Seconds
		for b := range r.Buckets {
			sum.Buckets[b] += r.Buckets[b]
		}
	}
	for k, sum := range sums {
		h := tally{bounds: proxy.DurationBuckets[:], counts: sum.Buckets[:], sum: sum.Seconds}
		e.observed(requestDuration, h, k.method, k.status, k.route)
	}
}

// collectDecisions sends decisions. A reason allows if it is "ok" and denies otherwise;
// those series exist from the start, any other from its first event.
func (c *collector) collectDecisions(e emitter, all []proxy.DecisionStats) {
	type key struct{ decision, reason string }
	sums := make(map[key]uint64)
	for _, reason := range c.s.Reasons {
		decision := "deny"
		if reason == "ok" {
			decision = "allow"
		}
		sums[key{decision, c.reasons.label(reason)}] = 0
	}
	for _, d := range all {
		sums[key{d.Decision, c.reasons.label(d.Reason)}] += d.Count
	}
	for k, n := range sums {
		e.value(decisions, float64(n), k.decision, k.reason)
	}
}

// endpoint names an endpoint. Its address never becomes a label.
type endpoint struct{ cluster, address string }

// sent counts what went to an endpoint or a cluster.
type sent struct {
	requests, connects, errors, tlsErrs, badCerts, failures, ejections, checks, checkErrs uint64
}

// upstreams sums endpoints by cluster. An endpoint that leaves the policy takes its
// counters with it, and one that comes back begins at 0; the sums only grow.
type upstreams struct {
	last  map[endpoint]sent // at the scrape before
	total map[string]sent   // by label
}

func newUpstreams() upstreams {
	return upstreams{last: make(map[endpoint]sent), total: make(map[string]sent)}
}

func (u *upstreams) add(label string, e endpoint, now sent) {
	before := u.last[e]
	if now.requests < before.requests || now.connects < before.connects || now.errors < before.errors || now.checks < before.checks {
		before = sent{} // it left and came back between two scrapes
	}
	t := u.total[label]
	t.requests += now.requests - before.requests
	t.connects += now.connects - before.connects
	t.errors += now.errors - before.errors
	t.tlsErrs += now.tlsErrs - before.tlsErrs
	t.badCerts += now.badCerts - before.badCerts
	t.failures += now.failures - before.failures
	t.ejections += now.ejections - before.ejections
	t.checks += now.checks - before.checks
	t.checkErrs += now.checkErrs - before.checkErrs
	u.total[label] = t
}

// collectUpstreams sends what went to each cluster.
func (c *collector) collectUpstreams(e emitter, endpoints []proxy.EndpointStats) {
	active := make(map[string]int64)
	states := make(map[string]*[upstream.NumStates]int)
	last := make(map[endpoint]sent, len(endpoints))
	for _, ep := range endpoints {
		label := c.clusters.label(valid([]string{ep.Cluster})[0])
		k := endpoint{ep.Cluster, ep.Endpoint}
		now := sent{ep.Requests, ep.Connects, ep.ConnectErrs, ep.TLSErrs, ep.BadCerts, ep.Failures, ep.Ejections, ep.Checks, ep.CheckErrs}
		c.upstreams.add(label, k, now)
		last[k] = now
		active[label] += ep.Active
		if states[label] == nil {
			states[label] = new([upstream.NumStates]int)
		}
		states[label][ep.State]++
	}
	for label, n := range states {
		for s := range upstream.NumStates {
			e.value(upstreamEndpoints, float64(n[s]), label, s.String())
		}
	}
	c.upstreams.last = last
	for label, t := range c.upstreams.total {
		e.value(upstreamActive, float64(active[label]), label)
		e.value(upstreamRequests, float64(t.requests), label)
		e.value(upstreamConnects, float64(t.connects), label)
		e.value(upstreamConnectErrors, float64(t.errors), label)
		e.value(upstreamTLSErrors, float64(t.badCerts), label, "certificate")
		e.value(upstreamTLSErrors, float64(t.tlsErrs-t.badCerts), label, "other")
		e.value(upstreamFailures, float64(t.failures), label)
		e.value(upstreamEjections, float64(t.ejections), label)
		e.value(upstreamChecks, float64(t.checks-t.checkErrs), label, "ok")
		e.value(upstreamChecks, float64(t.checkErrs), label, "failed")
	}
}

// collectClusters sends what the endpoints of a cluster share. Clusters over the bound are summed.
func (c *collector) collectClusters(e emitter, s proxy.Stats) {
	sums := make(map[string]proxy.ClusterStats, len(s.Clusters))
	full := uint64(0)
	for _, cl := range s.Clusters {
		label := c.clusters.label(valid([]string{cl.Cluster})[0])
		t := sums[label]
		t.Connections += cl.Connections
		t.Waiting += cl.Waiting
		t.Retries += cl.Retries
		t.RetriesRefused += cl.RetriesRefused
		sums[label] = t
		full += cl.PendingFull
	}
	for label, t := range sums {
		e.value(upstreamConnections, float64(t.Connections), label)
		e.value(upstreamPending, float64(t.Waiting), label)
		e.value(upstreamRetries, float64(t.Retries), label, "sent")
		e.value(upstreamRetries, float64(t.RetriesRefused), label, "refused")
	}
	e.value(upstreamPendingRefused, float64(full), "full")
	e.value(upstreamPendingRefused, float64(s.PendingTimeouts), "timeout")
}
