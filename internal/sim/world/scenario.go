package world

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
)

// Scenario is a history that is laid out for one purpose, where chance would seldom lead there:
// clients and upstreams of its own, one cluster, one policy. The network, the loops and the
// process are as in every other history, and chosen by the seed.
type Scenario struct {
	Name      string
	cluster   func(w *world) string // its keys, beside the endpoints up:1 and, with two, up:2
	route     string                // keys of its route
	two       bool
	configure func(w *world, cfg *proxy.Config) // nil: as in every other history
	play      func(w *world)                    // what begins once the policy is in force
	stop      time.Duration                     // when it is told to stop: by then everybody is gone
}

// Scenarios lists them.
func Scenarios() []*Scenario {
	return []*Scenario{slowClients, retryBudget, ejection, recovery, leastRequest, proxyHeaders, webSockets, webSocketStreams, eventStreams, stuckStreams, multiplexed, endedStreams}
}

const scenarioPolicy = `
clusters: {app: {endpoints: [%s], %s}}
routes:
- {name: public, path: {prefix: /}, cluster: app, %s policy: [{allow: {and: [{accept: true}]}}]}
`

// begin puts the policy in force, plays, and stops.
func (s *Scenario) begin(w *world) {
	endpoints := `"up:1"`
	if s.two {
		endpoints += `, "up:2"`
	}
	doc, err := policy.Parse("p.yaml", fmt.Appendf(nil, scenarioPolicy, endpoints, s.cluster(w), s.route))
	if err != nil {
		panic("BUG: the policy of scenario " + s.Name + " does not parse: " + err.Error())
	}
	w.net.After(0, func() {
		w.event(func(now time.Time) { w.machine.TargetReady(now, "keys") })
		enforce, err := w.core.Stage("1", doc)
		if err != nil {
			w.violate("the policy was rejected: %v", err)
			return
		}
		enforce()
		w.versions = append(w.versions, versionAt{1, w.net.Now()})
		w.event(func(now time.Time) { w.machine.TargetReady(now, "policy") })
		w.net.After(time.Second, func() {
			if w.tracker.State() != drain.Open {
				w.violate("not open a second after the policy came into force")
			}
			s.play(w)
		})
	})
	w.signal(s.stop)
}

func noKeys(*world) string { return "" }

// every calls f n times, with so much time between two calls.
func (w *world) every(d time.Duration, n int, f func(i int)) {
	for i := range n {
		w.net.After(time.Duration(i)*d, func() { f(i) })
	}
}

// stranger is an address outside of those that simulated dialers have.
var stranger = netip.MustParseAddrPort("192.0.2.66:40000")
