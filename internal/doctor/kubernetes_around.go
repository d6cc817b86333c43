package doctor

import (
	"strings"
	"time"
)

// rolloutOf is how a workload is replaced: its strategy, and what matches it.
func (w *world) rolloutOf(o object, template tree) rollout {
	spec := o.get("spec")
	r := rollout{at: o.spot(), replicas: spec.get("replicas").numberOr(1), needsBudget: o.kind != "DaemonSet" && o.kind != "Pod"}
	strategy := spec.first("strategy", "updateStrategy")
	r.recreate = strategy.get("type").text() == "Recreate"
	rolling := strategy.get("rollingUpdate")
	r.unavailable, r.surge = rolling.get("maxUnavailable").textValue(), rolling.get("maxSurge").textValue()
	if r.surge.text != "0" && r.surge.text != "0%" { // with both 0 it would be refused
		r.surgeEdit = rolling.get("maxUnavailable").replace("0")
	}
	if strategy.ok {
		r.at = strategy.at()
	}
	if o.kind != "Deployment" { // a StatefulSet and a DaemonSet replace in place, as they are meant to
		r.recreate, r.unavailable, r.surge, r.inPlace = false, textValue{}, textValue{}, true
	}
	for _, other := range w.kube {
		if !other.beside(o) {
			continue
		}
		switch other.kind {
		case "PodDisruptionBudget":
			if selects(other.get("spec", "selector"), template.get("metadata", "labels")) {
				r.budget = &disruption{other.get("spec").at(), other.get("spec", "minAvailable").textValue(), other.get("spec", "maxUnavailable").textValue()}
			}
		case "HorizontalPodAutoscaler":
			if t := other.get("spec", "scaleTargetRef"); t.get("name").text() == o.name && t.get("kind").text() == o.kind {
				r.autoscaled, r.scaler = true, other.get("spec", "minReplicas").numberOr(1)
			}
		}
	}
	return r
}

// services are those that send to the pods: what they expose, and which balancer comes with them.
func (w *world) services(o object, template, c tree, d *deployment) {
	ports := c.get("ports")
	for _, s := range w.kube {
		if s.kind != "Service" || !s.beside(o) || !serves(s.get("spec", "selector"), template.get("metadata", "labels")) {
			continue
		}
		monitoring := s.get("spec", "clusterIP").text() == "None" || strings.HasSuffix(s.name, "-probes") || strings.HasSuffix(s.name, "-metrics")
		for _, p := range s.get("spec", "ports").items() {
			target := p.first("targetPort", "port")
			n := portOf(target, ports)
			if besides(target, n, template, c) {
				continue
			}
			if n.at.line == 0 {
				n.at = p.at()
			}
			if !monitoring {
				d.ports = append(d.ports, n)
			}
			d.exposed = append(d.exposed, n)
		}
		if s.get("spec", "publishNotReadyAddresses").isTrue() && !monitoring {
			d.rollout.publishEarly = s.get("spec", "publishNotReadyAddresses").at()
		}
		if l := s.get("spec", "externalTrafficPolicy"); l.text() == "Local" {
			d.rollout.local = l.at()
		} else if l := s.get("spec", "internalTrafficPolicy"); l.text() == "Local" {
			d.rollout.local = l.at()
		}
		if !monitoring {
			d.balancers = append(d.balancers, balancer{kind: kubeProxy, at: s.spot()})
		}
		if b, ok := annotated(s); ok {
			d.balancers = append(d.balancers, b)
		}
		for _, in := range w.kube {
			if in.kind == "Ingress" && in.beside(o) && routesTo(in, s.name) {
				if b, ok := annotated(in); ok {
					d.balancers = append(d.balancers, b)
				}
			}
		}
	}
}

// besides says whether a service's port is that of another container of the pod.
func besides(target tree, n number, template, c tree) bool {
	for _, other := range template.get("spec", "containers").items() {
		if other.at() == c.at() {
			continue
		}
		if m := portOf(target, other.get("ports")); m.ok && !n.ok {
			return true // by its name
		}
		for _, p := range other.get("ports").items() {
			if n.ok && p.get("containerPort").number().n == n.n {
				return true
			}
		}
	}
	return false
}

func routesTo(ingress object, service string) (found bool) {
	for _, rule := range ingress.get("spec", "rules").items() {
		for _, p := range rule.get("http", "paths").items() {
			found = found || p.get("backend", "service", "name").text() == service
		}
	}
	return found || ingress.get("spec", "defaultBackend", "service", "name").text() == service
}

// annotated is the cloud's balancer that an object's annotations ask for.
func annotated(o object) (balancer, bool) {
	notes := o.get("metadata", "annotations")
	class := notes.get("kubernetes.io/ingress.class").text() + o.get("spec", "ingressClassName").text() + o.get("spec", "loadBalancerClass").text()
	kind, prefix := noBalancer, ""
	switch {
	case strings.Contains(class, "alb"):
		kind, prefix = alb, "alb.ingress.kubernetes.io/"
	case notes.get("service.beta.kubernetes.io/aws-load-balancer-type").ok, strings.Contains(class, "nlb"):
		kind, prefix = nlb, "service.beta.kubernetes.io/aws-load-balancer-"
	case strings.Contains(class, "gce"), notes.get("cloud.google.com/neg").ok:
		kind = gcp
	}
	if kind == noBalancer {
		return balancer{}, false
	}
	b := balancer{kind: kind, at: o.spot(), interval: notes.get(prefix + "healthcheck-interval").seconds(),
		path: notes.get(prefix + "healthcheck-path").textValue(), matcher: notes.first(prefix+"success-codes", prefix+"healthcheck-success-codes").textValue()}
	if !b.interval.ok {
		b.interval = notes.get(prefix + "healthcheck-interval-seconds").seconds()
	}
	b.byNode = kind == alb && notes.get(prefix+"target-type").text() != "ip" || kind == nlb && notes.get(prefix+"nlb-target-type").text() != "ip"
	if p := notes.get(prefix + "healthcheck-port"); b.byNode {
		b.port = textValue{} // a node's
	} else if p.ok && (p.number().ok || p.text() == "traffic-port") {
		b.port = p.textValue()
	} else if !p.ok && b.path.text != "" {
		b.port = textValue{b.path.at, "traffic-port"}
	}
	b.unhealthy = notes.first(prefix+"unhealthy-threshold-count", prefix+"healthcheck-unhealthy-threshold").number()
	for _, key := range []string{prefix + "target-group-attributes", prefix + "load-balancer-attributes", prefix + "attributes"} {
		for _, kv := range strings.Split(notes.get(key).text(), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(kv), "=")
			s, ok := parseSeconds(value)
			switch {
			case ok && name == "deregistration_delay.timeout_seconds":
				b.deregister = seconds{notes.get(key).at(), s, true}
			case ok && name == "idle_timeout.timeout_seconds":
				b.idle = seconds{notes.get(key).at(), s, true}
			}
		}
	}
	return b, true
}

// monitors are the ServiceMonitors and PodMonitors that scrape the pods.
func (w *world) monitors(template tree, d *deployment) {
	for _, m := range w.kube {
		switch m.kind {
		case "PodMonitor":
			if !selects(m.get("spec", "selector"), template.get("metadata", "labels")) {
				continue
			}
		case "ServiceMonitor":
			if !w.monitorsService(m, template) {
				continue
			}
		default:
			continue
		}
		for _, e := range append(m.get("spec", "endpoints").items(), m.get("spec", "podMetricsEndpoints").items()...) {
			d.scrapes = append(d.scrapes, e.get("interval").secondsOr(30*time.Second))
		}
	}
}

// monitorsService says whether a ServiceMonitor takes a service of the pods.
func (w *world) monitorsService(m object, template tree) bool {
	for _, s := range w.kube {
		if s.kind == "Service" && serves(s.get("spec", "selector"), template.get("metadata", "labels")) && selects(m.get("spec", "selector"), s.get("metadata", "labels")) {
			return true
		}
	}
	return false
}
