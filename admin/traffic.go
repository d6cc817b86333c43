package admin

import (
	"cmp"
	"slices"

	"github.com/sluiceproxy/sluice/proxy"
)

// Traffic is what came and what became of it, counted since the process began: whoever
// looks twice has rates.
type Traffic struct {
	Active   int64     `json:"active"`            // exchanges that run
	Requests Statuses  `json:"requests"`          // that are over
	Bounds   []float64 `json:"duration_bounds"`   // upper bounds of Buckets, in seconds; the last bucket has none
	Buckets  []uint64  `json:"duration_buckets"`  // requests that took so long
	Routes   []Route   `json:"routes,omitempty"`  // those with most requests, at most 10
	Others   int       `json:"routes_not_listed"` // how many more there are
	Troubles []Trouble `json:"troubles"`          // all that is counted as one, also if it never happened
}

// Statuses counts requests by the class of their status.
type Statuses struct {
	OK       uint64 `json:"ok"`       // 1xx and 2xx
	Redirect uint64 `json:"redirect"` // 3xx
	Client   uint64 `json:"client"`   // 4xx
	Server   uint64 `json:"server"`   // 5xx
	Other    uint64 `json:"other"`    // there was none, or none that is valid
}

func (s *Statuses) add(status int, n uint64) {
	switch status / 100 {
	case 1, 2:
		s.OK += n
	case 3:
		s.Redirect += n
	case 4:
		s.Client += n
	case 5:
		s.Server += n
	default:
		s.Other += n
	}
}

// Total is the sum.
func (s Statuses) Total() uint64 { return s.OK + s.Redirect + s.Client + s.Server + s.Other }

// Route is one route of Traffic.
type Route struct {
	Route    string   `json:"route"` // empty: there was none
	Requests Statuses `json:"requests"`
}

// Trouble is a counter that should not grow fast. The set is closed but for reasons.
type Trouble struct {
	What   string `json:"what"`
	Metric string `json:"metric"` // where docs/metrics.md has more about it
	Count  uint64 `json:"count"`
}

const maxTrafficRoutes = 10

// trafficOf adds up what the proxy counts.
func trafficOf(s proxy.Stats) Traffic {
	t := Traffic{Active: s.Active, Bounds: proxy.DurationBuckets[:], Buckets: make([]uint64, len(proxy.DurationBuckets)+1), Troubles: troublesOf(s)}
	routes := map[string]*Route{}
	for i := range s.Requests {
		r := &s.Requests[i]
		var n uint64
		for b, count := range r.Buckets {
			n += count
			t.Buckets[b] += count
		}
		t.Requests.add(r.Status, n)
		one := routes[r.Route]
		if one == nil {
			one = &Route{Route: r.Route}
			routes[r.Route] = one
		}
		one.Requests.add(r.Status, n)
	}
	for _, r := range routes {
		t.Routes = append(t.Routes, *r)
	}
	slices.SortFunc(t.Routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(b.Requests.Total(), a.Requests.Total()), cmp.Compare(a.Route, b.Route))
	})
	t.Others = max(0, len(t.Routes)-maxTrafficRoutes)
	t.Routes = t.Routes[:len(t.Routes)-t.Others]
	return t
}

// troublesOf reads the counters of what goes wrong, in a fixed order.
func troublesOf(s proxy.Stats) []Trouble {
	var list []Trouble
	add := func(f id, what string, n uint64) { list = append(list, Trouble{what, families[f].name, n}) }
	var failed, handshakes uint64
	refusals := map[string]uint64{}
	for _, ln := range s.Listeners {
		failed += ln.Failed
		for reason, n := range ln.Refused {
			refusals[reason] += n
		}
		for result, n := range ln.Handshakes {
			if result != "done" && result != "client_left" {
				handshakes += n
			}
		}
	}
	var up proxy.EndpointStats
	for _, e := range s.Upstreams {
		up.ConnectErrs, up.TLSErrs, up.Failures = up.ConnectErrs+e.ConnectErrs, up.TLSErrs+e.TLSErrs, up.Failures+e.Failures
	}
	var pendingFull, denied, unable uint64
	for _, c := range s.Clusters {
		pendingFull += c.PendingFull
	}
	for _, d := range s.Decisions {
		switch d.Decision { // authz.Verdict, in words
		case "allow":
		case "unavailable":
			unable += d.Count
		default:
			denied += d.Count
		}
	}
	add(requestsDropped, "responses that did not become complete", s.Dropped)
	add(upstreamFailures, "requests that failed at an upstream before an answer", up.Failures)
	add(upstreamConnectErrors, "connections to upstreams that could not be opened", up.ConnectErrs)
	add(upstreamTLSErrors, "TLS handshakes with upstreams that failed", up.TLSErrs)
	add(upstreamBadResponses, "malformed responses of upstreams", s.BadResponses)
	add(upstreamTruncated, "responses that an upstream ended too early", s.Truncated)
	add(upstreamPendingRefused, "requests that waited too long for an upstream", pendingFull+s.PendingTimeouts)
	add(decisions, "decisions that could not be made", unable)
	add(decisions, "requests refused by policy", denied)
	for _, reason := range sorted(refusals) {
		add(refused, "refused: "+reason, refusals[reason])
	}
	add(acceptFailures, "connections that could not be accepted", failed)
	add(tlsHandshakes, "TLS handshakes that failed", handshakes)
	add(badRequests, "malformed requests", s.BadRequests)
	add(slowClients, "requests ended because their client was too slow", s.Slow)
	add(http2Errors, "HTTP/2 connections ended for what the client sent", total(s.HTTP2.Errors))
	add(http2Refused, "HTTP/2 streams reset for what the client sent", total(s.HTTP2.Refused))
	add(panics, "faults of the proxy itself", total(s.Panics))
	return list
}

func sorted(m map[string]uint64) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func total(m map[string]uint64) (n uint64) {
	for _, one := range m {
		n += one
	}
	return n
}
