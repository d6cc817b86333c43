package doctor

import (
	"strings"
	"time"
)

// object is one Kubernetes object.
type object struct {
	tree
	kind, name, namespace string
}

func (w *world) addObject(src *source, t tree) {
	if t.get("kind").text() == "List" {
		for _, it := range t.get("items").items() {
			w.addObject(src, it)
		}
		return
	}
	o := object{t, t.get("kind").text(), t.get("metadata", "name").text(), t.get("metadata", "namespace").text()}
	w.kube = append(w.kube, o)
	w.saw(src, o.kind, o.name)
}

func (o object) spot() spot { return o.get("kind").at() }

// kubernetes finds the workloads that run Sluice.
func (w *world) kubernetes() (all []*deployment) {
	for _, o := range w.kube {
		switch o.kind {
		case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod":
			template := o.get("spec", "template")
			if o.kind == "Pod" {
				template = o.tree
			}
			if c, found := likeliest(running(template.get("spec")), "command"); found {
				all = append(all, w.workload(o, template, c))
			}
		}
	}
	return all
}

// running are the containers that run while a pod does: its own, and init containers that are
// restarted always (sidecars).
func running(spec tree) []tree {
	list := spec.get("containers").items()
	for _, c := range spec.get("initContainers").items() {
		if c.get("restartPolicy").text() == "Always" {
			list = append(list, c)
		}
	}
	return list
}

func (w *world) workload(o object, template, c tree) *deployment {
	spec := template.get("spec")
	d := &deployment{platform: kubernetes, name: o.kind + " " + o.name, at: o.spot(), image: c.get("image").textValue()}
	command := c.get("command").texts()
	if len(command) == 0 {
		command = []string{"sluice"}
	}
	d.args, d.argsAt = unwrap(append(command, c.get("args").texts()...)), c.first("args", "command").at()
	d.env = w.environment(o, c)
	d.files = w.mounts(o, spec, c)
	d.stop = stopOf(spec, "terminationGracePeriodSeconds", 30*time.Second)
	d.preStop = preStop(c.get("lifecycle", "preStop"))
	d.signal = c.get("lifecycle", "stopSignal").textValue()
	ports := c.get("ports")
	for r, key := range map[role]string{startup: "startupProbe", readiness: "readinessProbe", liveness: "livenessProbe"} {
		if p := c.get(key); p.ok {
			d.probes = append(d.probes, kubeProbe(r, p, ports))
		}
	}
	d.rollout = w.rolloutOf(o, template)
	d.pod = securityOf(spec, c)
	d.pod.subPath, d.pod.subPathOf = subPath(spec, c)
	if h := spec.get("hostNetwork"); h.isTrue() {
		d.pod.hostNetwork = h.at()
	}
	w.services(o, template, c, d)
	w.monitors(template, d)
	return d
}

// preStop is how long a hook takes, as far as it can be read.
func preStop(hook tree) seconds {
	if s := hook.get("sleep", "seconds"); s.ok {
		return s.seconds()
	}
	words := hook.get("exec", "command").texts()
	line := strings.Fields(strings.Join(words, " "))
	for i, word := range line {
		if word == "sleep" && i+1 < len(line) {
			if d, ok := parseSeconds(strings.Trim(line[i+1], `;"'`)); ok {
				return seconds{hook.get("exec").at(), d, true}
			}
		}
	}
	return seconds{}
}

func kubeProbe(r role, t, ports tree) probe {
	p := probe{role: r, at: t.at(), period: t.get("periodSeconds").secondsOr(10 * time.Second), timeout: t.get("timeoutSeconds").secondsOr(time.Second),
		failures: t.get("failureThreshold").numberOr(3)}
	switch {
	case t.get("httpGet").ok:
		h := t.get("httpGet")
		p.kind, p.path, p.port = "http", h.get("path").textValue(), portOf(h.get("port"), ports)
		if !h.get("path").ok {
			p.path.text = "/"
		}
		if s := h.get("scheme"); s.ok && s.text() != "HTTP" {
			p.elsewhere = s.textValue()
		} else if host := h.get("host"); host.ok {
			p.elsewhere = host.textValue()
		}
		p.pathEdit = func(to string) edit { return h.set("path", to) }
		p.portEdit = func(to string) edit { return h.set("port", to) }
	case t.get("exec").ok:
		p.kind, p.command = "exec", t.get("exec", "command").texts()
		p.shell = viaShell(p.command)
	case t.get("tcpSocket").ok:
		p.kind, p.port = "tcp", portOf(t.get("tcpSocket", "port"), ports)
	case t.get("grpc").ok:
		p.kind, p.port, p.path = "grpc", t.get("grpc", "port").number(), t.get("grpc", "service").textValue()
	}
	return p
}

// portOf is a port by its number, or by the name that the container gives it.
func portOf(t, ports tree) number {
	if n := t.number(); n.ok {
		return n
	}
	for _, p := range ports.items() {
		if t.ok && p.get("name").text() == t.text() {
			n := p.get("containerPort").number()
			n.at = t.at()
			return n
		}
	}
	return number{at: t.at()}
}

func viaShell(command []string) bool {
	if len(command) == 0 {
		return false
	}
	base := command[0][strings.LastIndexByte(command[0], '/')+1:]
	return base == "sh" || base == "bash" || base == "curl" || base == "wget" || base == "ash"
}

// subPath is the first file of a ConfigMap, Secret or the like that never changes again after
// the start.
func subPath(spec, c tree) (spot, string) {
	for _, m := range c.get("volumeMounts").items() {
		for _, v := range spec.get("volumes").items() {
			if s := m.first("subPath", "subPathExpr"); s.ok && v.get("name").text() == m.get("name").text() && v.first("configMap", "secret", "projected", "downwardAPI").ok {
				return s.at(), m.get("mountPath").text()
			}
		}
	}
	return spot{}, ""
}

// securityOf says whether the process may run as root. What the container says stands before
// what its pod says.
func securityOf(spec, c tree) (p pod) {
	pods, own := spec.get("securityContext"), c.get("securityContext")
	user, other := own.get("runAsUser"), own.get("runAsNonRoot")
	if !user.ok {
		user = pods.get("runAsUser")
	}
	if !other.ok {
		other = pods.get("runAsNonRoot")
	}
	switch {
	case user.ok && user.text() == "0":
		p.root = user.at()
	case !user.ok && !other.isTrue():
		p.root = c.get("name").at()
	}
	return p
}
