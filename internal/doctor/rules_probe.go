package doctor

import (
	"slices"
	"strconv"
	"time"
)

// Bounds that probes are judged by.
const (
	hasty        = 10 * time.Second // a liveness probe that fails faster restarts what is only busy
	longestStart = 30 * time.Second // a first policy sync may take so long
)

var probeRules = []Rule{
	{ID: "readiness-missing", Severity: Failure, Title: "there is no readiness probe",
		Why: "A pod without one is ready as soon as it runs: requests come before the policy is in force, and are refused.", check: func(d *deployment, r *reporter) {
			d.missing(r, readiness, "add readinessProbe: {httpGet: {path: /servingz, port: %s}, periodSeconds: 2, failureThreshold: 1}")
		}},
	{ID: "liveness-missing", Severity: Warning, Title: "there is no liveness probe",
		Why: "A process that hangs is never replaced.", check: func(d *deployment, r *reporter) {
			d.missing(r, liveness, "add livenessProbe: {httpGet: {path: /livez, port: %s}, periodSeconds: 10, failureThreshold: 3}")
		}},
	{ID: "startup-missing", Severity: Warning, Title: "there is no startup probe",
		Why: "Without one the liveness probe judges a process that still starts.", check: func(d *deployment, r *reporter) {
			d.missing(r, startup, "add startupProbe: {httpGet: {path: /startupz, port: %s}, periodSeconds: 2, failureThreshold: 60}")
		}},
	{ID: "health-check-missing", Severity: Warning, Title: "there is no container health check",
		Why: "ECS ignores the HEALTHCHECK of an image, and a compose file may switch it off: nobody asks whether the process serves.", check: func(d *deployment, r *reporter) {
			if d.platform != ecs && d.platform != docker && !(d.platform == compose && d.uncheck) {
				return
			}
			if !slices.ContainsFunc(d.probes, func(p probe) bool { return p.role == container && p.kind != "none" }) {
				r.found(d.at, `add one in exec form: ["CMD", "/sluice", "health"]`, "no health check asks this container")
			}
		}},
	{ID: "liveness-endpoint", Severity: Failure, Title: "a liveness probe asks whether traffic should come",
		Why:   "/readyz and /servingz say no all through a stop, as they must: the kubelet would kill the drain they announce. /livez says yes until the last handle is back.",
		check: endpoint(liveness, "/livez", "/healthz")},
	{ID: "readiness-endpoint", Severity: Failure, Title: "a readiness probe asks something else than readiness",
		Why:   "/livez is 200 before the policy is in force and all through a drain; a path of the traffic listeners may answer with a login page. Either makes a pod ready that is not. /readyz flips at SIGTERM; /servingz does when the listeners close.",
		check: endpoint(readiness, "/servingz", "/readyz")},
	{ID: "readiness-fallback", Severity: Warning, Title: "readiness goes before the last endpoint does",
		Why: "A pod that terminates is never ready to Kubernetes; its probe decides whether it still counts as serving. kube-proxy falls back to pods that terminate and serve when no ready one is left: with one replica, and on each node with `externalTrafficPolicy: Local`. /readyz says no at SIGTERM, and then there is nobody left to fall back to, although this process accepts all through the lame duck. /servingz says no when the listeners close.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if d.platform == kubernetes && p.role == readiness && p.kind == "http" && p.path.text == "/readyz" && (d.rollout.fewest().n == 1 && d.rollout.needsBudget || d.rollout.local.file != "") {
					why := "there is one replica"
					if d.rollout.local.file != "" {
						why = "a service sends to pods of its own node only"
					}
					r.found(p.path.at, "ask /servingz", "the readiness probe asks /readyz, and %s", why).edit = p.pathEdit("/servingz")
				}
			}
		}},
	{ID: "startup-endpoint", Severity: Warning, Title: "a startup probe asks something else than whether it has started",
		Why:   "/livez is 200 at once and makes the startup probe useless. /startupz is 200 once the process has been ready, for ever.",
		check: endpoint(startup, "/startupz", "/readyz")},
	{ID: "probe-port", Severity: Failure, Title: "a probe asks at another port than the probes listener's",
		Why: "Traffic listeners authenticate and authorize: an answer from there is a policy's, not the process's. The admin listener is on loopback, where no probe comes.", check: func(d *deployment, r *reporter) {
			want := d.probesPort()
			if d.guessed {
				return
			}
			for _, p := range d.probes {
				if p.kind == "exec" || p.kind == "none" || p.kind == "tcp" || want == "" || p.port.ok && strconv.FormatInt(p.port.n, 10) == want {
					continue
				}
				asked := "a name that the container does not declare"
				if p.port.ok {
					asked = strconv.FormatInt(p.port.n, 10)
				}
				f := r.found(p.port.at, "ask at port "+want+" (probes.address)", "the %s asks at port %s", roleNames[p.role], asked)
				if p.portEdit != nil {
					f.edit = p.portEdit(want)
				}
			}
		}},
	{ID: "probe-elsewhere", Severity: Failure, Title: "a probe asks by TLS, or at another host",
		Why: "The probes listener speaks plain HTTP at the address of its pod. The probe fails for ever, and a liveness probe kills what is well; or it says how somebody else is.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.elsewhere.text != "" {
					r.found(p.elsewhere.at, "leave scheme and host out", "the %s asks %s", roleNames[p.role], p.elsewhere.text)
				}
			}
		}},
	{ID: "probe-tcp", Severity: Failure, Title: "a probe only looks whether a port is open",
		Why: "A port is open before the policy is in force and all through the lame duck.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.kind == "tcp" {
					r.found(p.at, "ask by httpGet, at the probes listener", "the %s is a tcpSocket", roleNames[p.role])
				}
			}
			for _, b := range d.balancers {
				if b.open.line > 0 {
					r.found(b.open, "set HealthCheckProtocol HTTP, the port of the probes listener and HealthCheckPath /readyz", "the target group asks by TCP")
				}
			}
		}},
	{ID: "probe-shell", Severity: Failure, Title: "a health check needs a shell or curl",
		Why: "The image has neither. The check fails for ever: the container is never healthy, and a platform that acts on it replaces it again and again.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.shell && p.kind == "exec" {
					r.found(p.at, `use the exec form: ["CMD", "/sluice", "health"] (for an exec probe without "CMD")`, "the %s runs %q", roleNames[p.role], first(p.command))
				}
			}
		}},
	{ID: "liveness-exec", Severity: Failure, Title: "a liveness probe, or the health check of an ECS container, runs `sluice health` without --live",
		Why: "`sluice health` asks for readiness, which a stop takes away: the drain would be killed.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if (p.role == liveness || p.role == container && d.platform == ecs) && p.kind == "exec" && isSluice(first(p.command)) && !slices.Contains(p.command, "--live") {
					r.found(p.at, "add --live", "the %s asks for readiness", roleNames[p.role])
				}
			}
		}},
	{ID: "readiness-exec", Severity: Failure, Title: "a readiness probe runs `sluice health` with --live",
		Why: "That asks whether the process should be left alone: yes, before the policy is in force and all through a drain.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.role == readiness && p.kind == "exec" && isSluice(first(p.command)) && slices.Contains(p.command, "--live") {
					r.found(p.at, "leave --live out", "the readiness probe asks for liveness")
				}
			}
		}},
	{ID: "probe-slow", Severity: Warning, Title: "readiness is noticed later than the lame duck lasts",
		Why: "Whoever looks at the probe alone (a balancer with health checks, an operator) still sees a ready process when its listeners close.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if d.cfg != nil && p.role == readiness && p.path.text != "/servingz" && p.path.text != "serving" && p.takes() > d.cfg.LameDuck.Max {
					r.found(p.period.at, "set periodSeconds: 2 and failureThreshold: 1", "the readiness probe needs %s to fail, and lame_duck.max is %s", p.takes(), d.cfg.LameDuck.Max)
				}
			}
		}},
	{ID: "probe-timeout", Severity: Warning, Title: "a probe waits for longer than its period",
		Why: "The kubelet asks again when the answer is there or the timeout is over, and not before: the probe needs longer to notice than its period and threshold say.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.period.d > 0 && p.timeout.d > p.period.d && (p.timeout.ok || p.period.ok) && p.role != container {
					r.found(p.timeout.at, "lower the timeout to the period", "the %s waits %s for an answer and asks each %s", roleNames[p.role], p.timeout.d, p.period.d)
				}
			}
		}},
	{ID: "liveness-hasty", Severity: Warning, Title: "a liveness probe restarts what is only busy",
		Why: "A machine out of CPU for some seconds loses every replica at once, and the load of each goes to the rest.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.role == liveness && p.takes() < hasty {
					r.found(p.at, "set periodSeconds: 10 and failureThreshold: 3", "the liveness probe restarts after %s", p.takes())
				}
			}
		}},
	{ID: "startup-short", Severity: Warning, Title: "a startup probe gives up before the first policy may have come",
		Why: "The pod is killed while it waits for its policy, and begins anew: it never gets there when the source is slow.", check: func(d *deployment, r *reporter) {
			for _, p := range d.probes {
				if p.role == startup && p.takes() < longestStart {
					r.found(p.at, "set failureThreshold so that it times periodSeconds is 60 s or more", "the startup probe gives up after %s", p.takes())
				}
			}
		}},
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// missing reports a probe that a pod does not have.
func (d *deployment) missing(r *reporter, want role, remedy string) {
	if d.platform != kubernetes || slices.ContainsFunc(d.probes, func(p probe) bool { return p.role == want }) {
		return
	}
	r.found(d.at, sprintfPort(remedy, d.probesPort()), "the pod has no %s", roleNames[want])
}

// services are those of grpc.health.v1 that a role may ask for.
var services = map[role][]string{liveness: {"live"}, readiness: {"serving", "ready", ""}, startup: {"startup", "ready", ""}}

// endpoint reports probes of a role that ask for another path.
func endpoint(of role, good ...string) func(*deployment, *reporter) {
	return func(d *deployment, r *reporter) {
		for _, p := range d.probes {
			if p.role == of && p.kind == "grpc" && !slices.Contains(services[of], p.path.text) {
				r.found(p.at, "set grpc.service to "+services[of][0], "the %s asks by gRPC for the service %q", roleNames[of], p.path.text)
			}
			if p.role != of || p.kind != "http" || slices.Contains(good, p.path.text) {
				continue
			}
			f := r.found(p.path.at, "ask "+good[0], "the %s asks %s", roleNames[of], p.path.text)
			if f.Line == r.d.at.line {
				f.Line = p.at.line
			}
			if p.pathEdit != nil {
				f.edit = p.pathEdit(good[0])
			}
		}
	}
}
