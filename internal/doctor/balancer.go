package doctor

import "time"

// balancerKind is a kind of balancer whose times are known.
type balancerKind uint8

// The kinds.
const (
	noBalancer balancerKind = iota
	kubeProxy
	alb
	nlb
	gcp
)

// known is what is published of each kind's defaults, and what a stop needs beside it. How late
// AWS hears of pods is what users of its controller measured: 5 s were not enough for an ALB
// (aws-load-balancer-controller#1064), and an NLB takes two minutes whatever its delay (#2366, #3270).
var known = [...]struct {
	name       string
	idle       time.Duration // that it keeps an idle connection to a target and uses it again; 0: it passes connections on, and a close with them
	deregister time.Duration // default of its deregistration delay; 0: it has none
	lag        time.Duration // how long new connections may come after the stop began
	late       time.Duration // the same where a controller tells it of a pod that stops already; 0: as lag
	interval   time.Duration // of health checks
	unhealthy  int64
}{
	noBalancer: {},
	kubeProxy:  {name: "kube-proxy", lag: 3 * time.Second},
	alb:        {name: "ALB", idle: 60 * time.Second, deregister: 300 * time.Second, lag: 5 * time.Second, late: 20 * time.Second, interval: 30 * time.Second, unhealthy: 2},
	nlb:        {name: "NLB", deregister: 300 * time.Second, lag: 10 * time.Second, late: 2 * time.Minute, interval: 30 * time.Second, unhealthy: 2},
	gcp:        {name: "GCP load balancer", idle: 600 * time.Second, lag: 10 * time.Second, interval: 5 * time.Second, unhealthy: 2},
}

func (k balancerKind) String() string { return known[k].name }

// Balancers are the words for Options.Balancer.
var Balancers = []string{"kube-proxy", "alb", "nlb", "gcp"}

// addBalancer adds the one that the operator names, if no file does.
func (w *world) addBalancer(d *deployment) {
	kind := map[string]balancerKind{"kube-proxy": kubeProxy, "alb": alb, "nlb": nlb, "gcp": gcp}[w.opt.Balancer]
	if kind == noBalancer {
		return
	}
	for _, b := range d.balancers {
		if b.kind == kind {
			return
		}
	}
	d.balancers = append(d.balancers, balancer{kind: kind, at: d.at})
}

// idleTime, deregistration and notices are a balancer's times, with its kind's defaults.
func (b balancer) idleTime() time.Duration {
	if b.idle.ok {
		return b.idle.d
	}
	return known[b.kind].idle
}

func (b balancer) deregistration() time.Duration {
	if b.deregister.ok {
		return b.deregister.d
	}
	return known[b.kind].deregister
}

// newFor is how long new connections may come from it after a stop began.
func (b balancer) newFor(p platform) time.Duration {
	k := known[b.kind]
	switch {
	case b.byNode: // it sends to nodes, and kube-proxy on
		return known[kubeProxy].lag
	case p == kubernetes && k.late > 0:
		return k.late
	}
	return k.lag
}

// notices is how long its health check needs to see that a target leaves.
func (b balancer) notices() time.Duration {
	interval, n := known[b.kind].interval, known[b.kind].unhealthy
	if b.interval.ok {
		interval = b.interval.d
	}
	if b.unhealthy.ok {
		n = b.unhealthy.n
	}
	return interval * time.Duration(n)
}
