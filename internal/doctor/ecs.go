package doctor

import (
	"slices"
	"strings"
	"time"
)

// ecs finds the task definitions that run Sluice, with the services and target groups that
// were given beside them.
func (w *world) ecs() (all []*deployment) {
	for _, task := range w.tasks {
		if c, found := likeliest(task.get("containerDefinitions").items(), "entryPoint"); found {
			all = append(all, w.task(task, c))
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
	d.args, d.argsAt = unwrap(append(entry, c.get("command").texts()...)), c.first("command", "entryPoint").at()
	for _, e := range c.get("environment").items() {
		d.env = append(d.env, e.get("name").text()+"="+e.get("value").text())
	}
	d.stop = stopOf(c, "stopTimeout", 30*time.Second)
	d.fargate = slices.Contains(task.get("requiresCompatibilities").texts(), "FARGATE")
	if h := c.get("healthCheck"); h.ok {
		d.probes = append(d.probes, containerCheck(h.at(), h.get("command").texts(), h.get("interval").secondsOr(30*time.Second),
			h.get("timeout").secondsOr(5*time.Second), h.get("retries").numberOr(3)))
	}
	for _, p := range c.get("portMappings").items() {
		if n := p.get("containerPort").number(); n.ok {
			d.ports, d.exposed = append(d.ports, n), append(d.exposed, n)
		}
	}
	for _, u := range c.get("ulimits").items() {
		if u.get("name").text() == "nofile" {
			d.nofile = u.get("hardLimit").number() // the runtime raises the soft one to it
		}
	}
	for _, s := range w.svcs {
		of := s.get("taskDefinition").text()
		of = of[strings.LastIndexByte(of, '/')+1:]
		if of, _, _ = strings.Cut(of, ":"); of == "" || of == task.get("family").text() {
			ecsService(s, d, c.get("name").text())
		}
	}
	for i := range d.balancers {
		for _, g := range w.groups {
			if of := g.get("TargetGroupArn").text(); of == "" || d.balancers[i].group == "" || of == d.balancers[i].group {
				d.balancers[i].take(g, d)
			}
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

// ecsService takes what a service says of its tasks, in which the container has that name.
func ecsService(s tree, d *deployment, name string) {
	d.fargate = d.fargate || s.get("launchType").text() == "FARGATE"
	conf := s.get("deploymentConfiguration")
	d.rollout = rollout{at: s.get("serviceName").at(), replicas: s.get("desiredCount").numberOr(1), minHealthy: conf.get("minimumHealthyPercent").numberOr(100),
		maxPercent: conf.get("maximumPercent").numberOr(200), inPlace: s.get("schedulingStrategy").text() == "DAEMON"}
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
		if n := lb.get("containerPort").number(); n.ok && lb.get("containerName").text() == name {
			d.ports = append(d.ports, n)
		}
		d.balancers = append(d.balancers, balancer{kind: kind, at: lb.at(), group: lb.get("targetGroupArn").text()})
	}
}

// targetGroups are those of what `aws elbv2` prints or takes.
func targetGroups(t tree) []tree {
	if list := t.get("TargetGroups"); list.ok {
		return list.items()
	}
	return []tree{t}
}

// take takes a target group's settings, or its attributes alone, as they are printed apart.
func (b *balancer) take(g tree, d *deployment) {
	for _, a := range g.get("Attributes").items() {
		if a.get("Key").text() == "deregistration_delay.timeout_seconds" {
			b.deregister = a.get("Value").seconds()
		}
	}
	if !g.first("HealthCheckPath", "HealthCheckProtocol", "Protocol", "TargetGroupName", "Name").ok {
		return
	}
	if p := g.get("Protocol").text(); p == "TCP" || p == "TLS" {
		b.kind = nlb
	}
	b.at = g.at()
	if p := g.get("HealthCheckProtocol"); p.text() == "TCP" || !p.ok && b.kind == nlb {
		b.open = g.first("HealthCheckProtocol", "Protocol").at()
	}
	b.path, b.matcher = g.get("HealthCheckPath").textValue(), g.first("Matcher").get("HttpCode").textValue()
	b.interval, b.unhealthy = g.get("HealthCheckIntervalSeconds").seconds(), g.get("UnhealthyThresholdCount").number()
	if of := g.get("TargetType").text(); of != "" && of != "ip" {
		return // the ports are a host's
	}
	if b.port = g.get("HealthCheckPort").textValue(); b.port.text == "" {
		b.port = textValue{g.at(), "traffic-port"}
	}
}
