package doctor

import (
	"strings"
	"time"
)

// ecs finds the task definitions that run Sluice, with the services and target groups that
// were given beside them.
func (w *world) ecs() (all []*deployment) {
	for _, task := range w.tasks {
		for _, c := range task.get("containerDefinitions").items() {
			if isSluice(append(c.get("entryPoint").texts(), c.get("image").text(), c.get("name").text())...) {
				all = append(all, w.task(task, c))
				break
			}
		}
	}
	return all
}

func (w *world) task(task, c tree) *deployment {
	d := &deployment{platform: ecs, name: "task definition " + task.get("family").text(), at: c.get("name").at(), image: c.get("image").textValue()}
	entry := c.get("entryPoint").texts()
	if len(entry) == 0 {
		entry = []string{"sluice"}
	}
	d.args, d.argsAt = append(entry, c.get("command").texts()...), c.get("command").at()
	for _, e := range c.get("environment").items() {
		d.env = append(d.env, e.get("name").text()+"="+e.get("value").text())
	}
	d.stop = stopOf(c, "stopTimeout", 30*time.Second)
	if h := c.get("healthCheck"); h.ok {
		d.probes = append(d.probes, containerCheck(h.at(), h.get("command").texts(), h.get("interval").secondsOr(30*time.Second),
			h.get("timeout").secondsOr(5*time.Second), h.get("retries").numberOr(3)))
	}
	for _, p := range c.get("portMappings").items() {
		d.ports = append(d.ports, p.get("containerPort").number())
		d.exposed = append(d.exposed, p.get("containerPort").number())
	}
	for _, u := range c.get("ulimits").items() {
		if u.get("name").text() == "nofile" {
			d.nofile = u.get("hardLimit").number() // the runtime raises the soft one to it
		}
	}
	for _, s := range w.svcs {
		if of := s.get("taskDefinition").text(); of == "" || strings.Contains(of, task.get("family").text()) {
			w.ecsService(s, d)
		}
	}
	for i := range d.balancers {
		for _, g := range w.groups {
			d.balancers[i].group(g)
		}
	}
	return d
}

// containerCheck is the health check of a container as Docker knows it: CMD, CMD-SHELL, NONE.
func containerCheck(at spot, words []string, period, timeout seconds, failures number) probe {
	p := probe{role: container, at: at, kind: "exec", period: period, timeout: timeout, failures: failures}
	switch {
	case len(words) > 0 && words[0] == "CMD":
		p.command = words[1:]
		p.shell = viaShell(p.command)
	case len(words) > 0 && words[0] == "NONE":
		p.kind = "none"
	case len(words) > 0 && words[0] == "CMD-SHELL":
		p.command, p.shell = words[1:], true
	default:
		p.command, p.shell = words, true
	}
	return p
}

func (w *world) ecsService(s tree, d *deployment) {
	conf := s.get("deploymentConfiguration")
	d.rollout = rollout{at: s.get("serviceName").at(), replicas: s.get("desiredCount").numberOr(1), minHealthy: conf.get("minimumHealthyPercent").numberOr(100),
		maxPercent: conf.get("maximumPercent").numberOr(200)}
	if conf.ok {
		d.rollout.at = conf.at()
	}
	if conf.get("minimumHealthyPercent").ok {
		d.rollout.surgeEdit = conf.get("minimumHealthyPercent").replace("100")
	}
	for _, lb := range s.get("loadBalancers").items() {
		kind := alb
		if strings.Contains(lb.get("targetGroupArn").text(), "nlb") {
			kind = nlb
		}
		d.balancers = append(d.balancers, balancer{kind: kind, at: lb.at()})
	}
}

// targetGroups are those of what `aws elbv2` prints or takes.
func targetGroups(t tree) []tree {
	if list := t.get("TargetGroups"); list.ok {
		return list.items()
	}
	return []tree{t}
}

// group takes a target group's settings.
func (b *balancer) group(g tree) {
	if p := g.get("Protocol").text(); p == "TCP" || p == "TLS" {
		b.kind = nlb
	}
	b.at = g.at()
	b.path, b.matcher = g.get("HealthCheckPath").textValue(), g.first("Matcher").get("HttpCode").textValue()
	b.interval, b.unhealthy = g.get("HealthCheckIntervalSeconds").seconds(), g.get("UnhealthyThresholdCount").number()
	for _, a := range g.get("Attributes").items() {
		if a.get("Key").text() == "deregistration_delay.timeout_seconds" {
			b.deregister = a.get("Value").seconds()
		}
	}
}
