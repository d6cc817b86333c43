package admin

import (
	"maps"
	"slices"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// domain is what the values of a label may be. The reference prints it, and tests hold what is
// served against it.
type domain struct {
	values []string // a closed set
	also   string   // what may stand there beside it, in words: names somebody chose, bounded; empty: nothing
}

func closed(values ...string) domain { return domain{values: values} }

func keys[K ~string, V any](m map[K]V) domain {
	var d domain
	for _, k := range slices.Sorted(maps.Keys(m)) {
		d.values = append(d.values, string(k))
	}
	return d
}

// domainOf returns what a label of a family may be; ok is false for one that nobody described.
func (s Sources) domainOf(f id, label string) (d domain, ok bool) {
	switch label {
	case "reason":
		if d = reasonsOf(f); f == decisions {
			d = closed(s.Reasons...)
		}
	case "result":
		d = resultsOf(f)
	case "state":
		d = statesOf(f)
	case "outcome":
		if d = outcomes(); f == drainDuration {
			d = closed("clean", "cut")
		}
	case "class":
		d = keys(byClass(drain.ClassCounts{}))
	case "from", "to":
		d = processes()
	case "check":
		d = checks()
	case "status":
		for _, status := range statuses() {
			d.values = append(d.values, statusLabel(status))
		}
	case "protocol":
		d = closed(proxy.HTTP.String(), proxy.TCP.String())
	case "of":
		d = closed(edgetls.Authority, edgetls.List)
	case "turn":
		d = closed(fleetTurns()...)
	case "ending":
		d = closed("retry", "end")
	case "where":
		d = closed(proxy.PanicSites()...)
	case "decision":
		d = closed(proxy.Decisions()...)
	case "phase":
		d = closed(phases()...)
	case "event":
		d = keys(kernelEvents(drain.Witness{}))
	case "log":
		d = closed("access", "decisions", "process")
	case "http_request_method":
		d = closed(proxy.Methods()...)
	default:
		d = chosen(label)
	}
	return d, len(d.values) > 0 || d.also != ""
}

// chosen is the domain of a label whose values come from the build, the configuration or the policy.
func chosen(label string) domain {
	switch label {
	case "listener":
		return domain{also: "the names of the listeners in the configuration"}
	case "provider":
		return domain{also: "the names of the providers in the configuration: `oidc`, `oidc/NAME`"}
	case "cluster":
		return domain{values: []string{other}, also: "the names of clusters in the policy, 1000 at most"}
	case "http_route":
		return domain{values: []string{noRoute, other}, also: "the names of routes in the policy, 1000 at most"}
	case "http_response_status_code":
		return domain{values: []string{other}, also: "the codes that were sent; beyond 64 pairs of method and code a route, the rest is `_other`"}
	case "generation":
		return domain{also: "the number of a generation; those that were there when this process was started"}
	case "version", "revision", "goversion", "hash":
		return domain{also: "one value at a time: of the build, of the policy in force, or of the keys of sessions"}
	}
	return domain{}
}

func reasonsOf(f id) domain {
	switch f {
	case refused:
		return closed(proxy.RefusalReasons()...)
	case connectionsClosed:
		return outcomes()
	case http2Errors, http2Refused:
		return closed(proxy.HTTP2Reasons()...)
	case streamsEnded:
		return closed(proxy.StreamEndReasons()...)
	case upstreamTLSErrors:
		return closed("certificate", "other")
	case upstreamPendingRefused:
		return closed("full", "timeout")
	case policyRejected:
		var words []string
		for _, r := range policysync.Reasons() {
			words = append(words, string(r))
		}
		return closed(words...)
	case logLost:
		return closed("no_room", "write_failed")
	}
	return domain{}
}

func resultsOf(f id) domain {
	switch f {
	case tlsHandshakes:
		return closed(proxy.HandshakeResults()...)
	case loginResults:
		return closed(loginResultWords()...)
	case tlsReloads:
		return closed("succeeded", "failed")
	case reloads:
		return closed("success", "failure")
	case sessionsOpened:
		return closed(session.Results()...)
	case upstreamChecks:
		return closed("ok", "failed")
	case upstreamRetries:
		return closed("sent", "refused")
	}
	return domain{}
}

func statesOf(f id) (d domain) {
	switch f {
	case lifecycleState:
		return processes()
	case policyFreshness:
		d := domain{}
		for _, state := range policysync.FreshnessStates() {
			d.values = append(d.values, string(state))
		}
		return d
	case generationState:
		return closed(generationDraining, generationDrained, generationGone)
	case connectionsActive, drainInitial, drainRemaining:
		return keys(byClass(drain.ClassCounts{}))
	case websocketsClosed:
		return closed("told", "answered")
	case upstreamEndpoints:
		for s := range upstream.NumStates {
			d.values = append(d.values, s.String())
		}
	}
	return d
}

func outcomes() (d domain) {
	for o := range byOutcome(drain.OutcomeCounts{}) {
		d.values = append(d.values, o.String())
	}
	slices.Sort(d.values)
	return d
}

func processes() (d domain) {
	for _, p := range health.Processes() {
		d.values = append(d.values, p.Label())
	}
	return d
}

// checks are the health checks that this program has: not all of those that package health names.
func checks() domain {
	return closed(health.AuthenticateService, health.AuthorizeService, health.FleetPresence, health.PolicyBuild, health.PolicyFreshness, health.PolicySyncInitial,
		health.ProxyListener, health.RevocationSync, health.SessionKeys, health.StorageBackend, health.TLSCertificates, "upgrade.policy")
}
